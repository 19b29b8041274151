// The page of the editor's frame. It has no origin: quoted mail inside of it reaches
// nothing. It talks to the composer by messages, which carry HTML as strings.
import Squire from 'squire-rte'
import DOMPurify from 'dompurify'

const post = (m: unknown) => parent.postMessage(m, '*')
const style = document.createElement('style')
style.textContent = `html,body{height:100%;margin:0}body{font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Noto Sans Arabic","Noto Sans CJK SC",sans-serif;color:#181c24;overflow-wrap:anywhere}
html.dark{color-scheme:dark}html.dark body{color:#e8eaed}#ed{min-height:100%;box-sizing:border-box;padding:12px 16px;outline:0}
blockquote{margin:4px 0;padding-inline-start:12px;border-inline-start:2px solid #c6cbd5;color:#4d5563}html.dark blockquote{border-color:#3b424c;color:#b1b8c3}
html.dark #ed *{color:inherit!important;background-color:transparent!important}html.dark a{color:#82adff!important}a{color:#1d59c9}img{max-width:100%;height:auto}pre{white-space:pre-wrap;font:13px/1.5 ui-monospace,monospace}ul,ol{margin:4px 0;padding-inline-start:24px}table{max-width:100%}`
document.head.append(style)
const root = document.createElement('div')
root.id = 'ed'
root.dir = 'auto'
root.setAttribute('role', 'textbox')
root.setAttribute('aria-multiline', 'true')
root.setAttribute('aria-label', 'Message')
document.body.append(root)

const clean = { RETURN_DOM_FRAGMENT: true as const, WHOLE_DOCUMENT: false, FORBID_TAGS: ['style', 'form', 'input', 'button', 'svg', 'math', 'iframe', 'video', 'audio'], FORBID_ATTR: ['class', 'id', 'srcset'], ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|tel:|cid:|data:image\/|\/i\/)/i }
const ed = new Squire(root, {
  blockTag: 'DIV',
  sanitizeToDOMFragment: (html: string) => document.importNode(DOMPurify.sanitize(html, clean), true),
})

let quiet = true
function changed() {
  if (quiet) return
  post({ t: 'input', html: ed.getHTML(), text: text(root) })
}

// text is the plain form: lines, quotes with ">", links with where they lead.
function text(node: Node, quote = ''): string {
  let out = ''
  const line = () => { if (out && !out.endsWith('\n')) out += '\n' }
  for (const n of node.childNodes) {
    if (n.nodeType === 3) { out += (n as Text).data.replace(/[\u200b\n]/g, (c) => (c === '\n' ? ' ' : '')); continue }
    if (n.nodeType !== 1) continue
    const e = n as HTMLElement, tag = e.tagName
    if (tag === 'BR') { if (e.nextSibling || !e.previousSibling) out += '\n'; continue }
    if (tag === 'IMG') { out += e.getAttribute('alt') ? `[${e.getAttribute('alt')}]` : ''; continue }
    if (tag === 'BLOCKQUOTE') { line(); out += text(e).replace(/\n+$/, '').split('\n').map((l) => (l.startsWith('>') ? '>' : '> ') + l).join('\n') + '\n'; continue }
    if (tag === 'LI') { line(); const l = e.parentElement?.tagName === 'OL' ? `${[...e.parentElement.children].indexOf(e) + 1}. ` : '* '; out += l + text(e).replace(/\n+$/, '').replace(/\n/g, '\n  ') + '\n'; continue }
    if (tag === 'DETAILS' || tag === 'SUMMARY') { if (tag === 'DETAILS') out += text(e); continue }
    const inner = text(e)
    if (/^(DIV|P|H\d|UL|OL|TABLE|TR|PRE|SECTION|ARTICLE|HEADER|FOOTER|HR)$/.test(tag)) { line(); out += tag === 'HR' ? '---' : inner; if (inner !== '\n' || true) line(); if (tag === 'P' || /^H\d$/.test(tag)) out += '\n' }
    else if (tag === 'TD' || tag === 'TH') out += inner.trim() + '\t'
    else if (tag === 'A' && e.getAttribute('href') && !inner.includes(e.getAttribute('href')!.replace(/^mailto:/, ''))) out += `${inner} <${e.getAttribute('href')}>`
    else out += inner
  }
  return quote + out
}

ed.addEventListener('input', changed)
const state = () => post({ t: 'state', bold: ed.hasFormat('B'), italic: ed.hasFormat('I'), underline: ed.hasFormat('U'), ul: ed.hasFormat('UL'), ol: ed.hasFormat('OL'), quote: ed.hasFormat('BLOCKQUOTE'), code: ed.hasFormat('PRE') || ed.hasFormat('CODE'), link: ed.hasFormat('A') })
ed.addEventListener('pathChange', state)
ed.addEventListener('select', state)

// **bold**, *italic*, `code`, "> ", "* ", "1. " while typing.
root.addEventListener('input', (e) => {
  const data = (e as InputEvent).data
  if (!data || !'*` .>-'.includes(data) && data !== ' ') return
  const s = getSelection(), n = s?.anchorNode
  if (!n || n.nodeType !== 3 || ed.hasFormat('PRE')) return
  const before = (n as Text).data.slice(0, s!.anchorOffset)
  for (const [re, tag] of [[/\*\*([^*\s][^*]*)\*\*$/, 'B'], [/(?<!\*)\*([^*\s][^*]*)\*$/, 'I'], [/`([^`]+)`$/, 'CODE']] as const) {
    const m = before.match(re)
    if (!m || tag === 'I' && before.endsWith('**')) continue
    const r = new Range()
    r.setStart(n, s!.anchorOffset - m[0].length)
    r.setEnd(n, s!.anchorOffset)
    ed.saveUndoState()
    r.deleteContents()
    const el = document.createElement(tag)
    el.textContent = m[1]
    r.insertNode(el)
    const after = document.createTextNode('\u200b')
    el.after(after)
    const to = new Range()
    to.setStart(after, 1)
    ed.setSelection(to)
    changed()
    return
  }
  const start = before.replace(/\u00a0/g, ' ')
  if (data === ' ' && (start === '> ' || start === '* ' || start === '- ' || start === '1. ')) {
    ;(n as Text).deleteData(0, start.length)
    if (!n.parentElement?.firstChild || !(n as Text).data) n.parentElement?.append(document.createElement('br'))
    if (start === '> ') ed.increaseQuoteLevel()
    else if (start === '1. ') ed.makeOrderedList()
    else ed.makeUnorderedList()
  }
})

async function image(f: File) {
  const r = new FileReader()
  r.onload = () => { ed.insertImage(String(r.result), { alt: f.name.replace(/\.\w+$/, '') }); changed() }
  r.readAsDataURL(f)
}
root.addEventListener('paste', (e) => {
  const files = [...(e.clipboardData?.files || [])]
  if (!files.length) return
  e.preventDefault()
  e.stopImmediatePropagation()
  for (const f of files) if (/^image\/(png|jpeg|gif|webp)$/.test(f.type)) image(f); else post({ t: 'file', file: f })
}, true)
root.addEventListener('drop', (e) => {
  const files = [...(e.dataTransfer?.files || [])]
  if (!files.length) return
  e.preventDefault()
  e.stopImmediatePropagation()
  for (const f of files) if (/^image\/(png|jpeg|gif|webp)$/.test(f.type) && f.size < 5e6) image(f); else post({ t: 'file', file: f })
}, true)
addEventListener('dragover', (e) => e.preventDefault())
addEventListener('keydown', (e) => {
  if ((e.ctrlKey || e.metaKey) && ['Enter', 'k', 'K'].includes(e.key) || e.key === 'Escape' || e.ctrlKey && e.shiftKey && e.key === 'F') {
    e.preventDefault()
    e.stopImmediatePropagation()
    post({ t: 'key', key: e.key, ctrl: e.ctrlKey || e.metaKey, shift: e.shiftKey })
  } else if (e.key === 'Tab' && e.shiftKey) { e.preventDefault(); post({ t: 'key', key: 'Tab', ctrl: false, shift: true }) }
}, true)

addEventListener('message', (e) => {
  if (e.source !== parent || !e.data) return
  const m = e.data
  switch (m.t) {
    case 'set':
      quiet = true
      ed.setHTML(m.html || '<div><br></div>')
      document.documentElement.classList.toggle('dark', !!m.dark)
      if (m.label) root.setAttribute('aria-label', m.label)
      quiet = false
      post({ t: 'input', html: ed.getHTML(), text: text(root), first: true })
      if (m.focus) { ed.focus(); ed.moveCursorToStart() }
      break
    case 'insert': ed.focus(); ed.insertHTML(String(m.html)); changed(); break
    case 'signature': {
      const plain = (s: string) => s.replace(/\s+/g, '')
      // The lines that make up the signature as it was: one block or several.
      const old: Element[] = [], all = [...root.children], want = plain('--' + m.old)
      for (let i = 0; m.old && i < all.length && !old.length; i++) {
        let said = ''
        for (let j = i; j < all.length && want.startsWith(said); j++) { said += plain(all[j].textContent || ''); if (said === want) { old.push(...all.slice(i, j + 1)); break } }
      }
      if (!old.length && m.old) break // it was changed: it stays
      ed.saveUndoState()
      const fresh = m.html ? document.importNode(DOMPurify.sanitize(String(m.html), clean), true) : document.createDocumentFragment()
      if (old.length) { old[0].before(fresh); for (const x of old) x.remove() }
      else { const quote = root.querySelector('blockquote'); if (quote) root.insertBefore(fresh, [...root.children].find((x) => x.contains(quote)) || null); else root.append(fresh) }
      changed()
      break
    }
    case 'focus': window.focus(); ed.focus(); break
    case 'dark': document.documentElement.classList.toggle('dark', !!m.dark); break
    case 'do': {
      const run: Record<string, () => unknown> = {
        bold: () => (ed.hasFormat('B') ? ed.removeBold() : ed.bold()), italic: () => (ed.hasFormat('I') ? ed.removeItalic() : ed.italic()), underline: () => (ed.hasFormat('U') ? ed.removeUnderline() : ed.underline()),
        ul: () => (ed.hasFormat('UL') ? ed.removeList() : ed.makeUnorderedList()), ol: () => (ed.hasFormat('OL') ? ed.removeList() : ed.makeOrderedList()), quote: () => (ed.hasFormat('BLOCKQUOTE') ? ed.decreaseQuoteLevel() : ed.increaseQuoteLevel()),
        code: () => ed.toggleCode(), link: () => (m.value ? ed.makeLink(m.value) : ed.removeLink()), undo: () => ed.undo(), image: () => image(m.value),
      }
      run[m.what]?.()
      changed(); state()
      if (m.what !== 'image') ed.focus()
      break
    }
  }
})
post({ t: 'ready' })
