package server

import (
	"os"
	"runtime"
	"time"

	"posthouse/admin"
	"posthouse/internal/metrics"
)

// A reading is one row of the table of figures: the name that people see in
// `posthouse status`, and the one of the metric.
type reading struct {
	name, metric, help string
	kind               metrics.Kind
	labels             []metrics.Label
	value              uint64
}

// readings reads the counters of all services.
func (s *Server) readings() []reading {
	c, g := metrics.Counter, metrics.Gauge
	sm, im, en := s.smtp.Stats(), s.imap.Stats(), s.eng.Stats()
	qu, tr, lo := s.queue.Stats(), s.trace.Stats(), s.dir.LoginStats()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	protocol := func(name string) []metrics.Label { return []metrics.Label{{Name: "protocol", Value: name}} }
	return []reading{
		{"smtp.connections", "posthouse_connections_total", "Connections accepted.", c, protocol("smtp"), sm.Connections},
		{"imap.connections", "posthouse_connections_total", "Connections accepted.", c, protocol("imap"), im.Connections},
		{"smtp.open", "posthouse_connections_open", "Connections now.", g, protocol("smtp"), gauge(sm.Open)},
		{"imap.open", "posthouse_connections_open", "Connections now.", g, protocol("imap"), gauge(int64(im.Open))},
		{"smtp.turned_away", "posthouse_connections_turned_away_total", "Connections over a limit.", c, protocol("smtp"), sm.Turned},
		{"imap.turned_away", "posthouse_connections_turned_away_total", "Connections over a limit.", c, protocol("imap"), im.Refused},
		{"smtp.logins", "posthouse_logins_total", "Logins that succeeded.", c, protocol("smtp"), sm.Logins},
		{"imap.logins", "posthouse_logins_total", "Logins that succeeded.", c, protocol("imap"), im.Logins},
		{"smtp.logins_failed", "posthouse_logins_failed_total", "Logins that failed.", c, protocol("smtp"), sm.FailedLogins},
		{"imap.logins_failed", "posthouse_logins_failed_total", "Logins that failed.", c, protocol("imap"), im.LoginsBad},
		{"smtp.panics", "posthouse_panics_total", "Panics caught; each is a bug.", c, protocol("smtp"), sm.Panics},
		{"imap.panics", "posthouse_panics_total", "Panics caught; each is a bug.", c, protocol("imap"), im.Panics},
		{"smtp.messages", "posthouse_smtp_messages_accepted_total", "Messages accepted.", c, nil, sm.Accepted},
		{"smtp.messages_refused", "posthouse_smtp_messages_refused_total", "Messages refused at the end of their data.", c, nil, sm.Refused},
		{"smtp.early", "posthouse_smtp_early_talkers_total", "Connections that spoke before they were greeted.", c, nil, sm.Early},
		{"smtp.slowed", "posthouse_smtp_slowed_total", "Messages that waited because of signs of a spammer.", c, nil, sm.Slowed},
		{"smtp.bytes", "posthouse_smtp_bytes_accepted_total", "Bytes of accepted messages.", c, nil, sm.Bytes},
		{"smtp.handshakes_failed", "posthouse_smtp_handshakes_failed_total", "TLS handshakes that failed.", c, nil, sm.FailedHandshakes},
		{"imap.commands", "posthouse_imap_commands_total", "Commands.", c, nil, im.Commands},
		{"imap.commands_bad", "posthouse_imap_commands_bad_total", "Commands answered BAD.", c, nil, im.Bad},
		{"imap.appended", "posthouse_imap_messages_appended_total", "Messages appended.", c, nil, im.Appended},
		{"imap.fetched", "posthouse_imap_messages_fetched_total", "Messages fetched.", c, nil, im.Fetched},
		{"imap.idling", "posthouse_imap_idling", "Connections in IDLE.", g, nil, gauge(im.Idling)},
		{"trace.recorded", "posthouse_trace_records_total", "Records of what became of messages.", c, nil, tr.Recorded},
		{"trace.left_out", "posthouse_trace_records_left_out_total", "Records that were not made: too many, or the disk is full.", c, nil, tr.Left},
		{"reports.left_out", "posthouse_report_counts_left_out_total", "Messages and sessions that reports to other domains leave out: too many, or the disk is full.", c, nil, s.tally.Left()},
		{"logins.banned", "posthouse_login_bans", "Networks whose logins are refused now.", g, nil, gauge(int64(lo.Banned))},
		{"logins.refused", "posthouse_logins_refused_total", "Logins that were not looked at because their network is banned.", c, nil, lo.Refused},
		{"logins.slowed", "posthouse_logins_slowed_total", "Logins that had to wait because somebody guesses at the account.", c, nil, lo.Slowed},
		{"queue.messages", "posthouse_queue_messages", "Messages that wait for other servers.", g, nil, gauge(int64(qu.Entries))},
		{"queue.bytes", "posthouse_queue_bytes", "Bytes of them.", g, nil, gauge(qu.Bytes)},
		{"queue.held", "posthouse_queue_held", "Of them held by an operator.", g, nil, gauge(int64(qu.Held))},
		{"queue.active", "posthouse_queue_active", "Delivery attempts under way.", g, nil, gauge(int64(qu.Active))},
		{"queue.paused", "posthouse_queue_destinations_paused", "Destinations that took no connection lately.", g, nil, gauge(int64(qu.Paused))},
		{"queue.added", "posthouse_queue_added_total", "Messages taken into the queue.", c, nil, qu.Added},
		{"queue.attempts", "posthouse_queue_attempts_total", "Delivery attempts.", c, nil, qu.Attempts},
		{"queue.delivered", "posthouse_queue_delivered_total", "Recipients delivered to.", c, nil, qu.Delivered},
		{"queue.deferred", "posthouse_queue_deferred_total", "Attempts that left recipients waiting.", c, nil, qu.Deferred},
		{"queue.bounced", "posthouse_queue_bounced_total", "Recipients refused for good.", c, nil, qu.Bounced},
		{"queue.expired", "posthouse_queue_expired_total", "Recipients given up after the longest time.", c, nil, qu.Expired},
		{"queue.reports", "posthouse_queue_reports_total", "Reports (DSNs) made.", c, nil, qu.Reports},
		{"queue.double_bounces", "posthouse_queue_double_bounces_total", "Reports that could not be delivered.", c, nil, qu.DoubleBounces},
		{"store.commits", "posthouse_store_commits_total", "Commits.", c, nil, en.Commits},
		{"store.groups", "posthouse_store_groups_total", "Groups of commits that shared one sync.", c, nil, en.Groups},
		{"store.syncs", "posthouse_store_syncs_total", "Syncs of the disk.", c, nil, en.Syncs},
		{"store.blob_bytes", "posthouse_store_blob_bytes_total", "Bytes of messages stored.", c, nil, en.BlobBytes},
		{"store.written_bytes", "posthouse_store_written_bytes_total", "Bytes written to the log and to large files.", c, nil, en.WrittenBytes},
		{"store.segments", "posthouse_store_segments", "Segments of the log.", g, nil, gauge(en.Segments)},
		{"store.large_blobs", "posthouse_store_large_blobs", "Large messages, each in a file.", g, nil, gauge(en.LargeBlobs)},
		{"store.free_bytes", "posthouse_store_free_bytes", "Free space of the file system.", g, nil, en.FreeBytes},
		{"store.used_bytes", "posthouse_store_used_bytes", "Space that the store uses.", g, nil, en.UsedBytes},
		{"store.live_bytes", "posthouse_store_live_bytes", "Bytes of messages that somebody owns, as stored.", g, nil, en.LiveBytes},
		{"store.dead_bytes", "posthouse_store_dead_bytes", "Bytes of messages that nobody owns, not yet given back.", g, nil, en.DeadBytes},
		{"store.collected_bytes", "posthouse_store_collected_bytes_total", "Bytes of files removed by collection.", c, nil, en.Collected},
		{"store.recycled", "posthouse_store_recycled_total", "Segments written into the file of an emptied one.", c, nil, en.Recycled},
		{"store.punched_bytes", "posthouse_store_punched_bytes_total", "Bytes given back out of the middle of files.", c, nil, en.Punched},
		{"store.moved_bytes", "posthouse_store_moved_bytes_total", "Bytes of messages that collection moved.", c, nil, en.Moved},
		{"store.moved_to_bytes", "posthouse_store_moved_to_bytes_total", "Bytes that they became.", c, nil, en.MovedTo},
		{"store.scrubbed", "posthouse_store_scrubbed_total", "Messages read to look for damage.", c, nil, en.Scrubbed},
		{"store.position", "posthouse_store_position", "Number of the last commit.", g, nil, en.Position},
		{"store.shipped", "posthouse_store_shipped", "Number of the last commit that the standby has; 0: there is no standby.", g, nil, en.Shipped},
		{"store.unshipped_ms", "posthouse_store_unshipped_milliseconds", "For how long the standby has lacked commits; 0: it has all.", g, nil, uint64(en.Unshipped.Milliseconds())},
		{"store.damaged", "posthouse_store_damaged_total", "Damaged messages found.", c, nil, en.Damaged},
		{"store.mended", "posthouse_store_mended_total", "Of these, mended from the standby or a backup.", c, nil, en.Mended},
		{"store.read_only", "posthouse_store_read_only", "1 while mail is refused because the disk is full.", g, nil, flag(en.ReadOnly)},
		{"store.failed", "posthouse_store_failed", "1 after a disk fault, until a restart.", g, nil, flag(en.Failed)},
		{"process.goroutines", "posthouse_goroutines", "Goroutines.", g, nil, uint64(runtime.NumGoroutine())},
		{"process.heap_bytes", "posthouse_heap_bytes", "Bytes of live and not yet collected objects.", g, nil, mem.HeapAlloc},
		{"process.memory_bytes", "posthouse_memory_bytes", "Memory obtained from the system and not given back.", g, nil, mem.Sys - mem.HeapReleased},
		{"process.start_seconds", "posthouse_start_time_seconds", "When the server started, Unix time.", g, nil, uint64(s.started.Unix())},
	}
}

func gauge(n int64) uint64 { return uint64(max(0, n)) }

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (s *Server) figures() []metrics.Figure {
	rows := s.readings()
	list := make([]metrics.Figure, len(rows))
	for i, r := range rows {
		list[i] = metrics.Figure{Name: r.metric, Help: r.help, Kind: r.kind, Value: float64(r.value), Labels: r.labels}
	}
	return list
}

// status is what the server says about itself.
func (s *Server) status() admin.ServerStatus {
	st := admin.ServerStatus{
		Version: Version(), Hostname: s.hostname, PID: os.Getpid(), Started: s.started.UTC(),
		Listeners: s.Listeners(), Figures: map[string]uint64{}, Problems: []string{},
	}
	for _, r := range s.readings() {
		st.Figures[r.name] = r.value
	}
	st.Figures["logins.refused"] = st.Figures["smtp.logins_failed"] + st.Figures["imap.logins_failed"]
	if s.cfg.AllowPlaintextLogin {
		st.Problems = append(st.Problems, "allow_plaintext_login is on: passwords cross the network in clear")
	}
	if p := s.certificateProblem(time.Now()); p != "" {
		st.Problems = append(st.Problems, p)
	}
	if n := st.Figures["smtp.panics"] + st.Figures["imap.panics"]; n > 0 {
		st.Problems = append(st.Problems, "there were bugs in connections that were caught: please report the lines with \"panic\" in the log")
	}
	return st
}
