(function () {
  'use strict'
  // The only script beside a message. It has no origin, no cookie and no connections; it tells
  // the app its height, its keys and its links, and makes light mail dark.
  var root = document.documentElement, app = window.parent, opts = new URLSearchParams(location.hash.slice(1))
  function post(m) { app.postMessage(m, '*') }
  var last = 0
  function height() {
    var n = Math.min(Math.ceil(document.body.getBoundingClientRect().height) + 2, 60000)
    if (Math.abs(n - last) > 1) { last = n; post({ t: 'height', h: n, w: root.scrollWidth }) }
  }
  new ResizeObserver(height).observe(document.body)
  addEventListener('load', function () { height(); post({ t: 'loaded' }) })
  addEventListener('keydown', function (e) {
    if (e.isComposing || e.defaultPrevented) return
    if ((e.ctrlKey || e.metaKey) && 'kK,'.indexOf(e.key) >= 0) e.preventDefault()
    post({ t: 'key', key: e.key, ctrl: e.ctrlKey, meta: e.metaKey, shift: e.shiftKey, alt: e.altKey })
  }, true)
  addEventListener('click', function (e) {
    var a = e.target.closest && e.target.closest('a[href]')
    if (!a) { post({ t: 'click' }); return }
    var href = a.getAttribute('href')
    if (href.charAt(0) === '#') return
    if (a.dataset.inert || href.indexOf('mailto:') === 0) e.preventDefault()
    post({ t: 'link', href: href, text: a.textContent.trim().slice(0, 300), inert: !!a.dataset.inert })
  }, true)
  addEventListener('mouseover', function (e) {
    var a = e.target.closest && e.target.closest('a[href]')
    post({ t: 'over', href: a ? a.getAttribute('href') : '' })
  })
  document.addEventListener('selectionchange', function () {
    var s = String(document.getSelection())
    post({ t: 'select', text: s.slice(0, 20000) })
  })
  addEventListener('message', function (e) {
    if (e.source !== app || !e.data) return
    if (e.data.t === 'find') mark(String(e.data.q || ''))
    if (e.data.t === 'mono') document.querySelectorAll('.ph-text').forEach(function (x) { x.classList.toggle('ph-mono') })
    if (e.data.t === 'print') { window.focus(); window.print() }
  })
  function mark(q) {
    if (!window.CSS || !CSS.highlights) return
    CSS.highlights.delete('found')
    var words = q.toLowerCase().split(/\s+/).filter(function (w) { return w.length > 1 }).slice(0, 8), ranges = []
    if (!words.length) return
    var walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), n
    while ((n = walk.nextNode()) && ranges.length < 500) {
      var t = n.data.toLowerCase()
      words.forEach(function (w) {
        for (var i = t.indexOf(w); i >= 0 && ranges.length < 500; i = t.indexOf(w, i + w.length)) {
          var r = new Range(); r.setStart(n, i); r.setEnd(n, i + w.length); ranges.push(r)
        }
      })
    }
    CSS.highlights.set('found', new (Function.prototype.bind.apply(Highlight, [null].concat(ranges)))())
  }
  document.querySelectorAll('details.ph-quote>summary').forEach(function (s) { s.setAttribute('aria-label', opts.get('q') || 'Show quoted text') })

  // Dark: lightness is turned in OKLCH, hue stays.
  function lin(c) { c /= 255; return c <= .04045 ? c / 12.92 : Math.pow((c + .055) / 1.055, 2.4) }
  function unlin(c) { c = c <= .0031308 ? 12.92 * c : 1.055 * Math.pow(c, 1 / 2.4) - .055; return Math.max(0, Math.min(255, Math.round(c * 255))) }
  function toOK(r, g, b) {
    r = lin(r); g = lin(g); b = lin(b)
    var l = Math.cbrt(.4122214708 * r + .5363325363 * g + .0514459929 * b), m = Math.cbrt(.2119034982 * r + .6806995451 * g + .1073969566 * b), s = Math.cbrt(.0883024619 * r + .2817188376 * g + .6299787005 * b)
    return [.2104542553 * l + .793617785 * m - .0040720468 * s, 1.9779984951 * l - 2.428592205 * m + .4505937099 * s, .0259040371 * l + .7827717662 * m - .808675766 * s]
  }
  function toRGB(L, a, b) {
    var l = Math.pow(L + .3963377774 * a + .2158037573 * b, 3), m = Math.pow(L - .1055613458 * a - .0638541728 * b, 3), s = Math.pow(L - .0894841775 * a - 1.291485548 * b, 3)
    return [unlin(4.0767416621 * l - 3.3077115913 * m + .2309699292 * s), unlin(-1.2684380046 * l + 2.6097574011 * m - .3413193965 * s), unlin(-.0041960863 * l - .7034186147 * m + 1.707614701 * s)]
  }
  function parse(c) { var m = c.match(/rgba?\(([^)]+)\)/); if (!m) return null; var p = m[1].split(/[ ,\/]+/).map(Number); return { r: p[0], g: p[1], b: p[2], a: p.length > 3 ? p[3] : 1 } }
  var BG = .205
  function lum(c) { return .2126 * lin(c[0]) + .7152 * lin(c[1]) + .0722 * lin(c[2]) }
  function contrast(x, y) { return x > y ? (x + .05) / (y + .05) : (y + .05) / (x + .05) }
  function background(c) {
    var o = toOK(c.r, c.g, c.b), L = o[0]
    if (L < .45) return null
    var ch = Math.hypot(o[1], o[2]), to = ch > .09 ? Math.min(L, .55) * .78 + .02 : BG + (1 - L) * .55
    return toRGB(to, o[1] * .9, o[2] * .9).concat(c.a)
  }
  function text(c, bg) {
    var o = toOK(c.r, c.g, c.b), L = bg.L < .5 ? Math.max(o[0], .78 + .1 * (1 - o[0])) : o[0], at, i
    for (i = 0; i < 24; i++) {
      at = toRGB(L, o[1] * (i > 12 ? .5 : 1), o[2] * (i > 12 ? .5 : 1))
      if (contrast(lum(at), bg.Y) >= 4.6) break
      L = bg.Y < .18 ? Math.min(1, L + .03) : Math.max(0, L - .04)
    }
    return at
  }
  function dark() {
    var all = [root, document.body].concat([].slice.call(document.body.querySelectorAll('*'), 0, 20000)), seen = new Map(), plan = []
    all.forEach(function (e) {
      var s = getComputedStyle(e), bg = parse(s.backgroundColor), pic = s.backgroundImage !== 'none', at = seen.get(e.parentElement) || { L: BG, Y: .0095, pic: false }, to = null
      if (bg && bg.a > .1 && !(pic && bg.a === 0)) {
        to = background(bg)
        var c = to || [bg.r, bg.g, bg.b]
        at = { L: toOK(c[0], c[1], c[2])[0], Y: lum(c), pic: pic }
      } else if (pic) at = { L: 1, Y: 1, pic: true }
      seen.set(e, at)
      var fg = parse(s.color)
      plan.push([e, to, !at.pic && fg ? text(fg, at) : null, s.borderTopWidth !== '0px' || s.borderBottomWidth !== '0px' || s.borderLeftWidth !== '0px'])
    })
    plan.forEach(function (p) {
      var st = p[0].style
      if (p[1]) st.setProperty('background-color', 'rgba(' + p[1] + ')', 'important')
      if (p[2]) st.setProperty('color', 'rgb(' + p[2] + ')', 'important')
      if (p[3]) st.setProperty('border-color', 'rgba(255,255,255,.16)', 'important')
    })
    root.style.colorScheme = 'dark'
    root.style.setProperty('background-color', 'transparent', 'important')
  }
  if (opts.get('dark') === '1') {
    if (root.dataset.kind === 'plain') root.className = 'dark'
    else dark()
  }
  if (opts.get('find')) mark(opts.get('find'))
  var meta = {}
  try { meta = JSON.parse(root.dataset.meta) } catch (e) { meta = {} }
  post({ t: 'ready', meta: meta })
  height()
})()
