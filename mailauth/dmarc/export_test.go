package dmarc

// ParseRecord is for the fuzzer.
var ParseRecord = parseRecord
