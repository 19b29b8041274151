package metrics

import "testing"

func TestAppend(t *testing.T) {
	got := string(Append(nil, []Figure{
		{Name: "b_total", Help: "back\\slash", Value: 3},
		{Name: "a", Help: "first", Kind: Gauge, Value: 0.5, Labels: []Label{{"face", `m"x`}, {"n", "a\nb"}}},
		{Name: "b_total", Help: "back\\slash", Value: 1e9, Labels: []Label{{"x", "y"}}},
	}))
	const want = "# HELP a first\n# TYPE a gauge\na{face=\"m\\\"x\",n=\"a\\nb\"} 0.5\n" +
		"# HELP b_total back\\\\slash\n# TYPE b_total counter\nb_total 3\nb_total{x=\"y\"} 1e+09\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
