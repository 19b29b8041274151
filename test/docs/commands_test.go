package docs

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const commandsHead = `# The command line

Commands about people, domains, the queue and the store work on a running server, over the socket in its data directory,
and on a stopped one. Exit codes: 0 done, 1 failed, 2 wrong use, 3 not found, 4 refused, 5 no server or store there, 6 problems
were found. The environment may name the configuration (` + "`POSTHOUSE_CONFIG`" + `) and the data directory (` + "`POSTHOUSE_DATA`" + `). This
page is made from the program's own help.
`

// subRE finds the commands below a command in its help.
var subRE = regexp.MustCompile(`(?m)^  ([a-z]+) {2,}\S`)

var globalRE = regexp.MustCompile(`(?s)\nGlobal Flags:\n.*?(\n\n|\z)`)

func TestCommands(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "posthouse")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/posthouse").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var b strings.Builder
	b.WriteString(commandsHead)
	describe(t, &b, binary, nil)
	same(t, "../../docs/manual/commands.md", b.String())
}

// describe writes the help of a command and of those below it.
func describe(t *testing.T, b *strings.Builder, binary string, words []string) {
	out, err := exec.Command(binary, append(words, "--help")...).Output()
	if err != nil {
		t.Fatalf("posthouse %s --help: %v", strings.Join(words, " "), err)
	}
	help := string(out)
	if len(words) > 0 { // the same for all: said once, at the top
		help = globalRE.ReplaceAllString(help, "")
	}
	help = strings.TrimSpace(help)
	name := strings.Join(append([]string{"posthouse"}, words...), " ")
	b.WriteString("\n" + strings.Repeat("#", min(2+max(0, len(words)-1), 3)) + " " + name + "\n\n```\n" + help + "\n```\n")
	_, below, ok := strings.Cut(help, "Available Commands:\n")
	if !ok {
		return
	}
	below, _, _ = strings.Cut(below, "\n\n")
	for _, m := range subRE.FindAllStringSubmatch(below, -1) {
		if m[1] != "help" && m[1] != "completion" {
			describe(t, b, binary, append(append([]string(nil), words...), m[1]))
		}
	}
}
