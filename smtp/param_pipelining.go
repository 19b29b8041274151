package smtp

// PIPELINING, RFC 2920: feed holds back replies until the peer has nothing more to
// be answered.
var extPipelining = &extension{keyword: "PIPELINING", rfc: "RFC 2920"}
