package imap

import (
	"slices"
	"strings"
)

// extensions lists what this server speaks, in the order in which CAPABILITY
// names it. To add one, write its ext_*.go and its transcript, and add it here.
func extensions() []*extension {
	return []*extension{
		extRev1, extRev2,
		extLiteralPlus, extSASLIR, extID, extEnable,
		extStartTLS, extAuth,
		extIdle, extNamespace, extChildren, extUnselect, extUIDPlus, extMove,
		extListExtended, extListStatus, extSpecialUse, extCreateSpecialUse,
		extESearch, extSearchRes, extStatusSize, extQuota, extMetadata, extListMetadata, extAppendLimit, extMultiAppend,
		extCondstore, extQResync, extBinary,
		extObjectID, extAnnotate, extSaveDate, extPreview, extWithin, extUnauthenticate,
		extPartial, extUIDOnly, extInProgress, extReplace, extUTF8,
		extSort, extSortDisplay, extESort, extThreadSubject, extThreadReferences, extThreadRefs,
		extCompress, extMultiSearch, extLanguage, extI18N,
		extContextSearch, extContextSort, extNotify, extCatenate, extURLPartial, extURLAuth,
		extACL, extRights, extListMyRights,
		extGmail,
		extFuzzy, extFilters, extUIDBatches, extMessageLimit, extJMAPAccess,
	}
}

// An extension is everything that one capability adds. A nil field adds nothing.
// If an extension needs to reach what no field offers, add the field.
type extension struct {
	name  string // as in CAPABILITY and ENABLE
	rfc   string
	early bool // announced before login too
	// when, if set, says whether a server offers it as it is set up.
	when func(o *Options) bool
	// caps, if set, writes what CAPABILITY says of it, each word with a space
	// before it, instead of the name.
	caps func(c *conn, dst []byte) []byte

	commands      []command
	fetch         []fetchItem
	fetchMods     []fetchMod
	storeMods     []storeMod
	storeItems    []storeItem
	search        []searchKey
	searchReturns []searchReturn
	status        []statusItem
	selectParams  []selectParam
	listSelect    []listOption
	listReturn    []listOption
	createParams  []createParam
	appendData    []appendData
	appendExts    []appendExt
	sortKeys      []sortKey
	threads       []threadAlgorithm

	enable   func(c *conn)           // run by ENABLE; nil if it is not enabled that way
	onSelect func(c *conn, p *place) // untagged responses of SELECT and EXAMINE
	onCreate func(c *conn, p *place) // after CREATE
	reset    func(c *conn)           // run by UNAUTHENTICATE: forget what belongs to the login
	// check, if set, refuses an annotation of the account whose value would mean
	// nothing to the extension.
	check func(c *conn, name string, value []byte) error
}

// tables is the protocol of every connection: base and extensions, resolved
// once. It is immutable.
type tables struct {
	extensions    []*extension
	commands      map[string]*command
	fetch         map[string]*fetchItem
	fetchMods     map[string]*fetchMod
	storeMods     map[string]*storeMod
	storeItems    map[string]*storeItem
	search        map[string]*searchKey
	searchReturns map[string]*searchReturn
	status        map[string]*statusItem
	selectParams  map[string]*selectParam
	listSelect    map[string]*listOption
	listReturn    map[string]*listOption
	createParams  map[string]*createParam
	appendData    map[string]*appendData
	appendExts    map[string]*appendExt
	sortKeys      map[string]*sortKey
	threads       map[string]*threadAlgorithm
}

// newTables resolves the extensions. It panics if two claim one name, so that
// the mistake is found at start and not by a client.
func newTables(list []*extension) *tables {
	t := &tables{
		extensions:    list,
		commands:      map[string]*command{},
		fetch:         map[string]*fetchItem{},
		fetchMods:     map[string]*fetchMod{},
		storeMods:     map[string]*storeMod{},
		storeItems:    map[string]*storeItem{},
		search:        map[string]*searchKey{},
		searchReturns: map[string]*searchReturn{},
		status:        map[string]*statusItem{},
		selectParams:  map[string]*selectParam{},
		listSelect:    map[string]*listOption{},
		listReturn:    map[string]*listOption{},
		createParams:  map[string]*createParam{},
		appendData:    map[string]*appendData{},
		appendExts:    map[string]*appendExt{},
		sortKeys:      map[string]*sortKey{},
		threads:       map[string]*threadAlgorithm{},
	}
	for _, x := range list {
		put(t.commands, x.commands, func(r *command) string { return r.name })
		put(t.fetch, x.fetch, func(r *fetchItem) string { return r.name })
		put(t.fetchMods, x.fetchMods, func(r *fetchMod) string { return r.name })
		put(t.storeMods, x.storeMods, func(r *storeMod) string { return r.name })
		put(t.storeItems, x.storeItems, func(r *storeItem) string { return r.name })
		put(t.search, x.search, func(r *searchKey) string { return r.name })
		put(t.searchReturns, x.searchReturns, func(r *searchReturn) string { return r.name })
		put(t.status, x.status, func(r *statusItem) string { return r.name })
		put(t.selectParams, x.selectParams, func(r *selectParam) string { return r.name })
		put(t.listSelect, x.listSelect, func(r *listOption) string { return r.name })
		put(t.listReturn, x.listReturn, func(r *listOption) string { return r.name })
		put(t.createParams, x.createParams, func(r *createParam) string { return r.name })
		put(t.appendData, x.appendData, func(r *appendData) string { return r.name })
		put(t.appendExts, x.appendExts, func(r *appendExt) string { return r.name })
		put(t.sortKeys, x.sortKeys, func(r *sortKey) string { return r.name })
		put(t.threads, x.threads, func(r *threadAlgorithm) string { return r.name })
	}
	return t
}

// offered leaves out the extensions that are withheld, or that this server cannot
// offer as it is set up.
func offered(list []*extension, o *Options, withhold ...string) []*extension {
	return slices.DeleteFunc(list, func(x *extension) bool {
		return x.when != nil && !x.when(o) ||
			x.name != "" && slices.ContainsFunc(withhold, func(name string) bool { return strings.EqualFold(name, x.name) })
	})
}

func put[T any](m map[string]*T, rows []T, name func(*T) string) {
	for i := range rows {
		n := name(&rows[i])
		if _, twice := m[n]; twice {
			panic("imap: " + n + " registered twice")
		}
		m[n] = &rows[i]
	}
}
