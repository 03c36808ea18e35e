/** What a caller asks of the kernel: nlmsg_type, the nlmsg_flags beyond NLM_F_REQUEST, and all that follows nlmsghdr. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

/** One netlink message as it travels: `struct nlmsghdr` and its payload (include/uapi/linux/netlink.h). */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly pid: number;
  readonly payload: Uint8Array;
}
