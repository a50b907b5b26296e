// List's filters, as containerd's package filters reads them.
package conformance

import (
	"fmt"
	"sort"
	"strings"

	"google.golang.org/grpc/status"
)

// Snapshots of every kind: base ← child ← active, view of base, and one with a name that needs quotes.
func filterStore(s *side) {
	labels := []string{"plain=value", "a.b=dotted", "containerd.io/snapshot.ref=sha256:aa", "spaced key=x y",
		`quote=va"lue`, "newline=a\nb", "slash/key=1", "unicode=é", "long=" + strings.Repeat("v", 1000), "a-b=dash"}
	s.must(prepared("p1", "")(s))
	s.must(s.commit("base", "p1", labels...))
	s.must(prepared("p2", "base")(s))
	s.must(s.commit("child", "p2", "plain=other"))
	s.must(prepared("active", "child")(s))
	s.must(viewed("view", "base")(s))
	s.must(prepared(`odd "name", /with\ all|of it`, "")(s))
	s.must(prepared("default/7/sha256:aa", "")(s))
}

// Every filter is one List; several of one List are separated by "  OR  ".
var filters = []string{
	"", "kind==active", "kind==view", "kind==committed", "kind==Committed", "kind==unknown", "kind!=committed", "kind", "kind~=active|view",
	"name==base", "name!=base", "name~=base", "name~=^b", "name~=^b.*e$", "name", `name=="base"`, `"name"==base`,
	"parent==base", "parent==child", `parent==""`, `parent!=""`, "parent", "parent~=.", "parent~=^$", "parent!=base",
	"labels", "labels.plain", "labels.plain==value", "labels.plain!=value", `labels.plain==""`, `labels.plain!=""`,
	"labels.plain~=^v", "labels.absent", "labels.absent==x", "labels.absent!=x", `labels.absent==""`, `labels.absent!=""`,
	`labels.absent~=".*"`, `labels.absent~="x"`, `labels.absent~="^$"`,
	"labels.a.b", "labels.a.b==dotted", `labels."a.b"==dotted`, `labels."a"."b"==dotted`, `labels.a."b"`,
	`labels."containerd.io/snapshot.ref"==sha256:aa`, `labels."containerd.io/snapshot.ref"==sha256:aa,parent==""`,
	`labels."containerd.io/snapshot.ref"==sha256:aa,parent=="base"`, `labels."containerd.io/snapshot.ref"==""`,
	`labels."containerd.io/snapshot.ref"=="",parent=="base"`, `parent=="",labels."containerd.io/snapshot.ref"==sha256:aa`,
	`labels."containerd.io/snapshot.ref"==sha256:aa,parent==""  OR  name==view`,
	`labels."spaced key"=="x y"`, `labels."spaced key"==x y`, `labels.quote=="va\"lue"`, `labels.quote==va"lue`,
	`labels.newline=="a\nb"`, `labels.newline~="a.b"`, `labels.newline~="(?s)a.b"`, `labels."slash/key"==1`, `labels.slash/key==1`,
	`labels.a-b`, `labels."a-b"`, `labels.unicode==é`, `labels.unicode=="\u00e9"`, `labels.unicode=="\xc3\xa9"`, `labels.unicode=="\303\251"`,
	`labels.unicode=="\U000000e9"`, `labels.unicode~=^.$`, `labels.unicode~="\\pL"`, "labels.long~=^v{1000}$", "labels.long~=^v{1001}$",
	`labels.""`, `labels."".x`,
	`name=="odd \"name\", /with\\ all|of it"`, `name~="odd.*it"`, `name~=/odd "name", \/with\\ all|of it/`, `name~=|sha256:aa$|`,
	`name~=/a\.b/`, `name==/base/`, `/name/==base`, `name~='base'`, `name=='base'`, "name==default/7/sha256:aa",
	"kind==active,name==active", "kind==active,name==base", "kind==active, name==active", "kind==active ,name==active",
	" kind==active", "kind==active ", "kind == active", "kind\t==\nactive", "kind==active,labels.plain", "kind!=active,parent",
	"name==base  OR  name==view", "name==base  OR  ", "kind==view  OR  kind==active,name==active", "name==none  OR  name==nobody",
	"name.foo==base", "kind.x==committed", "parent.x.y==base", "colour", "colour==red", "colour!=red", "colour~=.*", "Name==base",
	"name==base==", "name==a!=b", "name!===base", "name===base", "name=base", "name=~base", "name~base", "name!base", "name<base",
	"==", "==base", ",", "name==base,", ",name==base", "name==base,,kind", "name==", "name~=", "name!=", "labels.", ".name", "name.", "labels..plain",
	`name=="base`, `name=="ba` + "\n" + `se"`, `name=="\q"`, `name=="\x1"`, `name=="\777"`, `name=="\ud800"`, `name=="base"x`, `name=="base" `,
	`"name`, "name base", "name==base x", "name==ba\x00se", "na\x00me", "name==\u00a0base", "name==ba\u00a0se", "name==ba\u200bse",
	`name~="("`, `name~="a{2,1}"`, `name~="*"`, `name~="(?P<n>base)"`, `name~="(?i)BASE"`, `name~="\\bbase\\b"`, `name~="^(?:base|view)$"`,
	`name~="(?=base)"`, `name~="\\1"`, `name~="[[:alpha:]]+$"`, `name~="\\x62ase"`, `name~="x*"`, `name~=""`, `name~="a{1001}"`,
	"name==base  OR  name~=\"(\"", "name==base  OR  ==",
	strings.Repeat("name==base,", 1000) + "kind", nested(500), nested(3000),
}

// nested is an expression for "base" in so many groups.
func nested(depth int) string {
	return fmt.Sprintf(`name~="%sbase%s"`, strings.Repeat("(", depth), strings.Repeat(")", depth))
}

func isOdd(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'\`, r) }

func askFilters(s *side) {
	_, err := s.list()
	s.code("List of a store that was never written to", err)
	_, err = s.list("==")
	s.code("the same, with a filter that is none", err, "==")
	filterStore(s)
	for _, filter := range filters {
		var list []string
		if filter != "" {
			list = strings.Split(filter, "  OR  ")
		}
		question := filter
		if filter == "" {
			question = "no filter"
		}
		infos, err := s.list(list...)
		if err != nil {
			s.code(question, err, "filter")
			// The message gives the filter back, as far as it can be shown.
			if plain := strings.TrimRight(list[len(list)-1], "\n"); s.ours && len(plain) < 20 && strings.IndexFunc(plain, isOdd) < 0 &&
				!strings.Contains(status.Convert(err).Message(), plain) {
				s.t.Errorf("%s: the message does not name it: %v", question, err)
			}
			continue
		}
		var names []string
		for _, info := range infos {
			names = append(names, info.Name)
		}
		sort.Strings(names)
		text := strings.Join(names, " · ")
		if text == "" {
			text = "none"
		}
		s.answer(question, text)
	}
	infos, err := s.list("")
	s.must(err)
	all, err := s.list()
	s.must(err)
	s.answer("an empty filter", sameNames(infos, all))
}
