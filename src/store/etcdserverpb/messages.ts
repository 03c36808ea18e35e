// The messages of etcd's v3 API, `<label> <type> <name> = <number>`, one string a message. Field names and numbers are
// the API's (https://etcd.io/docs/v3.5/dev-guide/api_reference_v3/); what neither our client nor our server
// uses is left out, and skipped when it arrives, as protobuf wants.

/** Package `mvccpb`. */
export const MVCCPB: Readonly<Record<string, string>> = {
  KeyValue:
    "bytes key = 1; int64 create_revision = 2; int64 mod_revision = 3; int64 version = 4; bytes value = 5; int64 lease = 6",
  Event: "int32 type = 1; KeyValue kv = 2; KeyValue prev_kv = 3",
};

/** Package `etcdserverpb`. Enums are spelled int32, which is what they are on the wire. */
export const ETCDSERVERPB: Readonly<Record<string, string>> = {
  ResponseHeader: "uint64 cluster_id = 1; uint64 member_id = 2; int64 revision = 3; uint64 raft_term = 4",
  RangeRequest: `bytes key = 1; bytes range_end = 2; int64 limit = 3; int64 revision = 4; int32 sort_order = 5;
    int32 sort_target = 6; bool serializable = 7; bool keys_only = 8; bool count_only = 9;
    int64 min_mod_revision = 10; int64 max_mod_revision = 11;
    int64 min_create_revision = 12; int64 max_create_revision = 13`,
  RangeResponse: "ResponseHeader header = 1; repeated mvccpb.KeyValue kvs = 2; bool more = 3; int64 count = 4",
  PutRequest: `bytes key = 1; bytes value = 2; int64 lease = 3; bool prev_kv = 4; bool ignore_value = 5;
    bool ignore_lease = 6`,
  PutResponse: "ResponseHeader header = 1; mvccpb.KeyValue prev_kv = 2",
  DeleteRangeRequest: "bytes key = 1; bytes range_end = 2; bool prev_kv = 3",
  DeleteRangeResponse: "ResponseHeader header = 1; int64 deleted = 2; repeated mvccpb.KeyValue prev_kvs = 3",
  RequestOp: `RangeRequest request_range = 1; PutRequest request_put = 2;
    DeleteRangeRequest request_delete_range = 3; TxnRequest request_txn = 4`,
  ResponseOp: `RangeResponse response_range = 1; PutResponse response_put = 2;
    DeleteRangeResponse response_delete_range = 3; TxnResponse response_txn = 4`,
  Compare: `int32 result = 1; int32 target = 2; bytes key = 3; int64 version = 4; int64 create_revision = 5;
    int64 mod_revision = 6; bytes value = 7; int64 lease = 8; bytes range_end = 64`,
  TxnRequest: "repeated Compare compare = 1; repeated RequestOp success = 2; repeated RequestOp failure = 3",
  TxnResponse: "ResponseHeader header = 1; bool succeeded = 2; repeated ResponseOp responses = 3",
  CompactionRequest: "int64 revision = 1; bool physical = 2",
  CompactionResponse: "ResponseHeader header = 1",

  WatchRequest: `WatchCreateRequest create_request = 1; WatchCancelRequest cancel_request = 2;
    WatchProgressRequest progress_request = 3`,
  WatchCreateRequest: `bytes key = 1; bytes range_end = 2; int64 start_revision = 3; bool progress_notify = 4;
    repeated int32 filters = 5; bool prev_kv = 6; int64 watch_id = 7; bool fragment = 8`,
  WatchCancelRequest: "int64 watch_id = 1",
  WatchProgressRequest: "",
  WatchResponse: `ResponseHeader header = 1; int64 watch_id = 2; bool created = 3; bool canceled = 4;
    int64 compact_revision = 5; string cancel_reason = 6; bool fragment = 7; repeated mvccpb.Event events = 11`,

  LeaseGrantRequest: "int64 TTL = 1; int64 ID = 2",
  LeaseGrantResponse: "ResponseHeader header = 1; int64 ID = 2; int64 TTL = 3; string error = 4",
  LeaseRevokeRequest: "int64 ID = 1",
  LeaseRevokeResponse: "ResponseHeader header = 1",
  LeaseKeepAliveRequest: "int64 ID = 1",
  LeaseKeepAliveResponse: "ResponseHeader header = 1; int64 ID = 2; int64 TTL = 3",
  LeaseTimeToLiveRequest: "int64 ID = 1; bool keys = 2",
  LeaseTimeToLiveResponse: `ResponseHeader header = 1; int64 ID = 2; int64 TTL = 3; int64 grantedTTL = 4;
    repeated bytes keys = 5`,
  LeaseLeasesRequest: "",
  LeaseStatus: "int64 ID = 1",
  LeaseLeasesResponse: "ResponseHeader header = 1; repeated LeaseStatus leases = 2",

  Member:
    "uint64 ID = 1; string name = 2; repeated string peerURLs = 3; repeated string clientURLs = 4; bool isLearner = 5",
  MemberListRequest: "bool linearizable = 1",
  MemberListResponse: "ResponseHeader header = 1; repeated Member members = 2",

  StatusRequest: "",
  StatusResponse: `ResponseHeader header = 1; string version = 2; int64 dbSize = 3; uint64 leader = 4;
    uint64 raftIndex = 5; uint64 raftTerm = 6; uint64 raftAppliedIndex = 7; repeated string errors = 8;
    int64 dbSizeInUse = 9; bool isLearner = 10`,
  AlarmRequest: "int32 action = 1; uint64 memberID = 2; int32 alarm = 3",
  AlarmMember: "uint64 memberID = 1; int32 alarm = 2",
  AlarmResponse: "ResponseHeader header = 1; repeated AlarmMember alarms = 2",
  DefragmentRequest: "",
  DefragmentResponse: "ResponseHeader header = 1",
  HashKVRequest: "int64 revision = 1",
  HashKVResponse: "ResponseHeader header = 1; uint32 hash = 2; int64 compact_revision = 3",

  AuthenticateRequest: "string name = 1; string password = 2",
  AuthenticateResponse: "ResponseHeader header = 1; string token = 2",
  AuthStatusRequest: "",
  AuthStatusResponse: "ResponseHeader header = 1; bool enabled = 2; uint64 authRevision = 3",
};

/** Service → method → [request, response]; `stream`: both sides send as many as they like. */
export const SERVICES: Readonly<Record<string, Readonly<Record<string, readonly [string, string, "stream"?]>>>> = {
  KV: {
    Range: ["RangeRequest", "RangeResponse"],
    Put: ["PutRequest", "PutResponse"],
    DeleteRange: ["DeleteRangeRequest", "DeleteRangeResponse"],
    Txn: ["TxnRequest", "TxnResponse"],
    Compact: ["CompactionRequest", "CompactionResponse"],
  },
  Watch: { Watch: ["WatchRequest", "WatchResponse", "stream"] },
  Lease: {
    LeaseGrant: ["LeaseGrantRequest", "LeaseGrantResponse"],
    LeaseRevoke: ["LeaseRevokeRequest", "LeaseRevokeResponse"],
    LeaseKeepAlive: ["LeaseKeepAliveRequest", "LeaseKeepAliveResponse", "stream"],
    LeaseTimeToLive: ["LeaseTimeToLiveRequest", "LeaseTimeToLiveResponse"],
    LeaseLeases: ["LeaseLeasesRequest", "LeaseLeasesResponse"],
  },
  Cluster: { MemberList: ["MemberListRequest", "MemberListResponse"] },
  Maintenance: {
    Status: ["StatusRequest", "StatusResponse"],
    Alarm: ["AlarmRequest", "AlarmResponse"],
    Defragment: ["DefragmentRequest", "DefragmentResponse"],
    HashKV: ["HashKVRequest", "HashKVResponse"],
  },
  Auth: {
    Authenticate: ["AuthenticateRequest", "AuthenticateResponse"],
    AuthStatus: ["AuthStatusRequest", "AuthStatusResponse"],
  },
};
