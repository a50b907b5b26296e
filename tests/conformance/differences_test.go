// What is answered otherwise than by containerd's overlay snapshotter, on purpose. There is no other place for it.
package conformance

// A difference: a question of a section, what each side answers, and why it is so.
type difference struct{ section, question, theirs, ours, why string }

// Every question of its section that is answered so.
const everyQuestion = "every such case"

var differences = []difference{
	{"Codes", "Prepare: empty key", "Unknown", "InvalidArgument", emptyKey},
	{"Codes", "View: empty key", "Unknown", "InvalidArgument", emptyKey},
	{"Codes", "Commit: empty name", "Unknown", "InvalidArgument", emptyKey},
	{"Codes", "Commit with another parent (2.2's rebase)", "OK", "InvalidArgument",
		"1.6 passes over the field. Who sends it relies on it, and sluice does not say that it can rebase."},
	{"Life", "Cleanup of a new store", "NotFound", "OK", "An empty store is no error."},
	{"Filters", "List of a store that was never written to", "Unknown", "OK", "An empty store is no error."},
	{"Filters", everyQuestion, "Unknown", "InvalidArgument",
		"filters.ParseAll says ErrInvalidArgument; the service's List alone does not translate it."},
	{"Filters", everyQuestion, "none", "InvalidArgument",
		"An expression that does not compile, or half of a surrogate pair, is a mistake: theirs matches nothing and says so in its log alone."},
	{"Filters", `name==base  OR  name~="("`, "base", "InvalidArgument", "The same, beside a filter that is right."},
	{"Filters", nested(3000), "none", "base", "More groups in each other than Go's regexp takes; RE2's memory is bounded another way."},
	{"Filters", "name==ba\u200bse", "Unknown", "none",
		"Theirs takes printing characters only, by Go's tables; a character without a picture is a byte of the value here."},
	{"Update", "labels. with a label without a key", `Unknown, still: "q"=10 containerd.io/snapshot/x=9`,
		`InvalidArgument, still: "q"=10 containerd.io/snapshot/x=9`, labelKey},
	{"Update", "a label without a key", `Unknown, still: "q"=10 containerd.io/snapshot/x=9`,
		`InvalidArgument, still: "q"=10 containerd.io/snapshot/x=9`, labelKey},
	{"Update", "Prepare with a label without a key", "Unknown", "InvalidArgument", labelKey},
	{"Update", "View with a label without a key", "Unknown", "InvalidArgument", labelKey},
	{"Update", "Commit with a label without a key", "Unknown", "InvalidArgument", labelKey},
	{"Names", "a key that is not UTF-8", "OK", "Unimplemented", notUTF8},
	{"Names", "its Stat", "OK", "Unimplemented", notUTF8},
	{"Names", "a label's value that is not UTF-8", "OK", "Unimplemented", notUTF8},
	{"Names", "a filter that is not UTF-8", "Unknown", "Unimplemented", notUTF8},
	{"Namespaces", "with the header of another", "OK", "InvalidArgument", header},
	{"Namespaces", "View with the header of another", "OK", "InvalidArgument", header},
	{"Namespaces", "the same key under another plugin's name", "AlreadyExists", "OK", keySpace},
	{"Namespaces", "Stat under another plugin's name", "OK", "NotFound", keySpace},
	{"Namespaces", "List under a third plugin's name", "5 snapshots", "0 snapshots", keySpace},
	{"List", "a is prepared after b: the order", "a b", "b a", "bolt's order is that of keys, ours that of time; nobody relies on either."},
	{"List", "List where a hundred snapshots have 200 KiB of labels each", "ResourceExhausted", "1300 snapshots",
		"More than containerd takes in one message; sluice's are 1 MiB, since garbage collection needs the list."},
	{"Layers", "Prepare for it again", "OK", "AlreadyExists", remote},
	{"Layers", "Prepare for it again, over that parent", "OK", "AlreadyExists", remote},
}

const (
	emptyKey = "bolt's refusal has no code of its own; a client can't tell Unknown from trouble."
	labelKey = emptyKey
	notUTF8  = "containerd 1.6 sends what it was given; the protocol's strings are UTF-8, and 2.x could not even read a list with such a name."
	header   = "A key of another namespace than the request's is somebody's mistake; containerd never sends one."
	keySpace = "Garbage collection under one name removes what it lists and does not know: one key space for two names loses the images of both."
	remote   = "The layer is there, over this parent: what a remote snapshotter is for."
)
