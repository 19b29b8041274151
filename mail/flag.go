package mail

// A Flag is a system flag (`\Seen`) or a keyword (`$Forwarded`) of a message, RFC
// 9051 §2.3.2. Flags compare without regard to case and keep the case in which
// they were first used in their account.
type Flag string

// The system flags, RFC 9051 §2.3.2. FlagRecent (RFC 3501 §2.3.2) belongs to a
// session, never to a stored message.
const (
	FlagSeen     Flag = `\Seen`
	FlagAnswered Flag = `\Answered`
	FlagFlagged  Flag = `\Flagged`
	FlagDeleted  Flag = `\Deleted`
	FlagDraft    Flag = `\Draft`
	FlagRecent   Flag = `\Recent`
)

// A Role is the special use of a mailbox, RFC 6154 §2, spelled as the attribute
// (`\Sent`); "" is none. The inbox is known by its name and has no Role.
type Role string

// The roles of RFC 6154 §2 and RFC 8457 §3.
const (
	RoleNone      Role = ""
	RoleAll       Role = `\All`
	RoleArchive   Role = `\Archive`
	RoleDrafts    Role = `\Drafts`
	RoleFlagged   Role = `\Flagged`
	RoleImportant Role = `\Important`
	RoleJunk      Role = `\Junk`
	RoleSent      Role = `\Sent`
	RoleTrash     Role = `\Trash`
)
