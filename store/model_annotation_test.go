package store

import (
	"fmt"
	"maps"
	"strings"

	"pgregory.net/rapid"

	"posthouse/mail"
)

// modelNote names an annotation.
type modelNote struct {
	box  MailboxID
	user mail.AccountID
	name string
}

func (x *machine) Annotate(t *rapid.T) {
	x.t = t
	b, id := x.box("box")
	if rapid.IntRange(0, 3).Draw(t, "account") == 0 {
		id = 0
	}
	n := modelNote{id, mail.AccountID(rapid.IntRange(0, 1).Draw(t, "user")), rapid.SampledFrom([]string{"/a", "/a/b", "/B"}).Draw(t, "name")}
	value := strings.Repeat("v", rapid.IntRange(0, 9).Draw(t, "value"))
	remove := rapid.IntRange(0, 2).Draw(t, "remove") == 0
	abort := rapid.IntRange(0, 5).Draw(t, "abort") == 0
	err := x.update(func(tx *Tx, m *model) error {
		val := []byte(value)
		if remove {
			val = nil
		}
		if err := tx.SetAnnotation(n.box, n.user, n.name, val); err != nil {
			return err
		}
		low := n
		low.name = strings.ToLower(n.name)
		if delete(m.notes, low); !remove {
			m.notes[low] = value
		}
		got, err := tx.Annotation(n.box, n.user, n.name)
		if remove != (mail.KindOf(err) == mail.NotFound && err != nil) || !remove && string(got) != value {
			return fmt.Errorf("the transaction sees %q, %v", got, err)
		}
		if abort {
			return errStop
		}
		return nil
	})
	if abort && err == errStop {
		return
	}
	x.kind(err, id != 0 && b.noselect, mail.NotFound)
}

func (x *machine) checkNotes(v *View) {
	have := map[modelNote]string{}
	boxes := []MailboxID{0}
	for _, b := range x.m.boxes {
		boxes = append(boxes, b.id)
	}
	var size int64
	for _, id := range boxes {
		if err := v.Annotations(id, 1, func(a *Annotation) bool {
			have[modelNote{id, a.User, a.Name}] = string(a.Value)
			size += int64(len(a.Name) + len(a.Value))
			return true
		}); err != nil {
			x.t.Fatal(err)
		}
	}
	if !maps.Equal(have, x.m.notes) || v.Usage().Annotations != size+x.m.noted() {
		x.t.Fatalf("annotations %v of %d bytes, want %v", have, v.Usage().Annotations, x.m.notes)
	}
}
