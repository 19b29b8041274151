// Package peers starts the mail programs of others for tests and benchmarks: each
// with its own configuration, mail and state in a temporary directory, on
// loopback, on free ports. It is a test kit: only tests and bench import it.
package peers
