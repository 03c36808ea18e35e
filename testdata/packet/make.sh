#!/bin/sh
# Makes the captures of this folder: traffic of the real kernel between two namespaces, taken by tcpdump.
# Run as root:  unshare --net --mount sh testdata/packet/make.sh
# Needs iproute2, tcpdump, busybox, bash, python3. Nothing of the machine's own network is touched.
set -eu
cd "$(dirname "$0")"
mount -t tmpfs tmpfs /run/netns 2>/dev/null || { mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns; }
ip netns add a
ip netns add b
ip -n a link add eth0 address 0a:58:0a:00:00:01 type veth peer name eth0 address 0a:58:0a:00:00:02 netns b
for ns in a b; do
  ip netns exec "$ns" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad'
  ip -n "$ns" link set lo up
  ip -n "$ns" link set eth0 up
done
ip -n a address add 192.168.50.1/24 dev eth0
ip -n b address add 192.168.50.2/24 dev eth0
ip -n a -6 address add fd00:50::1/64 dev eth0 nodad
ip -n b -6 address add fd00:50::2/64 dev eth0 nodad
ip -n a link add flannel.1 address 0a:58:0a:00:01:01 type vxlan id 1 local 192.168.50.1 dev eth0 dstport 8472 nolearning noudpcsum
ip -n b link add flannel.1 address 0a:58:0a:00:01:02 type vxlan id 1 local 192.168.50.2 dev eth0 dstport 8472 nolearning noudpcsum
for ns in a b; do ip -n "$ns" link set flannel.1 up; done
ip -n a address add 10.244.1.0/32 dev flannel.1
ip -n b address add 10.244.2.0/32 dev flannel.1
ip -n a route add 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink
ip -n b route add 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink
ip -n a neigh replace 10.244.2.0 lladdr 0a:58:0a:00:01:02 dev flannel.1 nud permanent
ip -n b neigh replace 10.244.1.0 lladdr 0a:58:0a:00:01:01 dev flannel.1 nud permanent
ip netns exec a bridge fdb add 0a:58:0a:00:01:02 dev flannel.1 dst 192.168.50.2 self permanent
ip netns exec b bridge fdb add 0a:58:0a:00:01:01 dev flannel.1 dst 192.168.50.1 self permanent

# capture NAME FILTER COMMAND: what COMMAND, run in a, makes b's eth0 see
capture() {
  echo "## $1: tcpdump '$2' while: $3" >&2
  ip netns exec b tcpdump -Z root -i eth0 -U --immediate-mode -w "$1.pcap" "$2" 2>"$1.log" &
  pid=$!
  until grep -q 'listening on' "$1.log"; do sleep 0.1; done
  ip netns exec a bash -c "$3" >&2 || true
  sleep 0.3
  kill -INT $pid
  wait $pid || true
  rm "$1.log"
  tcpdump -nn -S -t -r "$1.pcap" >"$1.txt" 2>/dev/null
}

cat >/run/netns/echo.py <<'PY'
import socket, sys, threading
def tcp(family, address):
    s = socket.create_server((address, 8080), family=family)
    while True:
        c, _ = s.accept()
        c.sendall(b"podpath-pong " + c.recv(100)); c.close()
def udp(family, address):
    s = socket.socket(family, socket.SOCK_DGRAM); s.bind((address, 8080))
    while True:
        d, peer = s.recvfrom(2000); s.sendto(b"podpath-pong " + d, peer)
for f in (tcp, udp):
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "fd00:50::2")):
        threading.Thread(target=f, args=(family, address)).start()
print("ready", flush=True)
PY
ip netns exec b python3 -u /run/netns/echo.py >/run/netns/ready &
server=$!
until grep -q ready /run/netns/ready; do sleep 0.1; done

PING='busybox ping -c 1 -W 1'
capture arp arp "ip neigh flush dev eth0; $PING 192.168.50.2"
capture icmp icmp "$PING 192.168.50.2"
capture icmp-fragments icmp "$PING -s 3000 192.168.50.2"
capture icmp-errors icmp "echo x >/dev/udp/192.168.50.2/9; ip netns exec b ip route add unreachable 192.0.2.0/24; echo 1 | ip netns exec b tee /proc/sys/net/ipv4/ip_forward; ip route add 192.0.2.0/24 via 192.168.50.2; $PING 192.0.2.1; ip netns exec b ip route delete unreachable 192.0.2.0/24; ip netns exec b ip route add 192.0.2.0/24 dev flannel.1; $PING -t 1 192.0.2.1; ip netns exec b ip route replace 192.0.2.0/24 dev flannel.1 mtu 1000; python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(0, 10, 2); s.sendto(bytes(1200), (\"192.0.2.1\", 9))' "
capture icmpv6 icmp6 "ip -6 neigh flush dev eth0; $PING fd00:50::2"
capture icmpv6-fragments 'ip6 proto 44 or icmp6' "$PING -s 3000 fd00:50::2"
capture icmpv6-errors icmp6 "python3 -c 'import socket; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.sendto(b\"x\", (\"fd00:50::2\", 9))'"
capture udp 'udp port 8080' "echo podpath-ping 1 >/dev/udp/192.168.50.2/8080; echo podpath-ping 2 >/dev/udp/fd00:50::2/8080"
capture tcp 'tcp' "echo podpath-ping 3 | busybox nc -w 1 192.168.50.2 8080; echo podpath-ping 4 | busybox nc -w 1 fd00:50::2 8080; busybox nc -w 1 192.168.50.2 9 </dev/null"
capture ipv4-options 'udp port 8080' "python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(0, 4, bytes([7, 11, 4] + [0] * 8 + [0])); s.sendto(b\"options\", (\"192.168.50.2\", 8080))'"
capture ipv6-extensions ip6 "python3 -c 'import socket; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.setsockopt(41, socket.IPV6_HOPOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0])); s.setsockopt(41, socket.IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0])); s.sendto(b\"extensions\", (\"fd00:50::2\", 8080))'"
capture vxlan 'udp port 8472' "$PING -s 20 10.244.2.0; echo podpath-ping 5 >/dev/udp/10.244.2.0/8080; sleep 0.1; echo podpath-ping 6 | busybox nc -w 1 10.244.2.0 8080"
kill $server
