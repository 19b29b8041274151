package smtp

// ENHANCEDSTATUSCODES, RFC 2034: every reply carries its code but the greeting, those
// to hello, and the 3xx ones (RFC 2034 §4).
var extEnhancedStatusCodes = &extension{keyword: "ENHANCEDSTATUSCODES", rfc: "RFC 2034"}
