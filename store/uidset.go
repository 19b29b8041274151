package store

// A UIDRange is the UIDs First <= u <= Last.
type UIDRange struct{ First, Last UID }

// A UIDSet is a set of UIDs as ascending ranges that neither touch nor overlap.
// It is never expanded: its cost is its ranges, not its members.
type UIDSet []UIDRange
