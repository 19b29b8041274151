// What the scenarios stand on: the real binary, real Chromium, a trap for connections to
// anywhere else, a second mail program that speaks IMAP, and a stranger's SMTP.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import net from 'node:net'
import tls from 'node:tls'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

const require = createRequire(join(process.env.UI, 'package.json'))
const { chromium } = require('playwright-core')
export const axeSource = require.resolve('axe-core/axe.min.js')
export const shots = process.env.SHOTS
mkdirSync(shots, { recursive: true })

export function assert(ok, text) { if (!ok) throw new Error(text) }
export function equal(a, b, text = '') { if (JSON.stringify(a) !== JSON.stringify(b)) throw new Error(`${text}: got ${JSON.stringify(a)}, want ${JSON.stringify(b)}`) }

// eventually waits for a condition, generously: the machine may be busy.
export async function eventually(f, text, ms = 30_000) {
  const end = Date.now() + ms
  for (let last; ; ) {
    try { const v = await f(); if (v) return v } catch (e) { last = e }
    if (Date.now() > end) throw new Error(`not within ${ms / 1000} s: ${text}${last ? ' (' + last.message + ')' : ''}`)
    await new Promise((r) => setTimeout(r, 50))
  }
}

// within bounds what a hung program would never end.
export function within(p, ms, text) {
  let timer
  return Promise.race([p, new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`${text}: not within ${ms / 1000} s`)), ms) })]).finally(() => clearTimeout(timer))
}

// The trap answers nothing and counts who connects. Chromium takes it for every other host.
export async function openTrap() {
  const trap = { hits: 0, port: 0 }
  const s = net.createServer((c) => { trap.hits++; c.on('error', () => {}); c.destroy() })
  await new Promise((r) => s.listen(0, '127.0.0.1', r))
  trap.port = s.address().port
  trap.close = () => s.close()
  return trap
}

export async function openBrowser(trap) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium', timeout: 120_000,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb', '--disable-background-networking', '--disable-component-update', `--host-resolver-rules=MAP *.example 127.0.0.1:${trap.port}, MAP *.test 127.0.0.1:${trap.port}`],
  })
}

const running = new Set()
process.on('exit', () => { for (const p of running) p.kill('SIGKILL') })
for (const sig of ['SIGINT', 'SIGTERM']) process.on(sig, () => process.exit(1))

// demo starts a server of its own for one scenario.
export async function demo(args = []) {
  const p = spawn(process.env.POSTHOUSE, ['demo', '--no-open', ...(args.includes('live') ? [] : ['--quiet']), ...args.filter((x) => x !== 'live')], { stdio: ['ignore', 'pipe', 'inherit'] })
  running.add(p)
  p.once('exit', () => running.delete(p))
  let text = ''
  await within(new Promise((done, fail) => {
    p.stdout.on('data', (b) => { text += b; if (text.includes('Ctrl-C')) done() })
    p.on('exit', () => fail(new Error('the demo did not start: ' + text)))
  }), 90_000, 'the demo starts').catch((e) => { p.kill('SIGKILL'); throw e })
  const url = text.match(/http:\/\/\S+\//)[0].replace(/\/$/, ''), port = (re) => +text.match(re)[1]
  return {
    url, base: port(/IMAP 127\.0\.0\.1:(\d+)/) - 143, imap: port(/IMAP 127\.0\.0\.1:\d+ \(TLS (\d+)/), mx: port(/MX 127\.0\.0\.1:(\d+)/), process: p,
    stop: (signal = 'SIGTERM') => within(new Promise((r) => { if (p.exitCode !== null || p.signalCode) return r(); p.once('exit', r); p.kill(signal) }), 40_000, 'the demo ends').catch((e) => { p.kill('SIGKILL'); throw e }),
  }
}

// hold keeps the ports of a server that was killed, until it is started again: another
// demo would take them. Who connects is cut off, as by a server that is away.
export async function hold(base) {
  const list = await Promise.all([25, 143, 465, 587, 993, 80].map((n) => new Promise((done, fail) => {
    const s = net.createServer((c) => { c.on('error', () => {}); c.destroy() })
    s.once('error', fail)
    s.listen(base + n, '127.0.0.1', () => done(s))
  })))
  return () => Promise.all(list.map((s) => new Promise((r) => s.close(r))))
}

// imap is the other mail program.
export async function imap(srv, user = 'ada@demo.test') {
  const s = tls.connect({ port: srv.imap, host: '127.0.0.1', rejectUnauthorized: false })
  let buf = '', wake = () => {}, n = 0
  s.on('data', (b) => { buf += b.toString('latin1'); wake() })
  s.on('error', () => {})
  async function until(re) {
    const end = Date.now() + 60_000
    for (;;) {
      const m = buf.match(re)
      if (m) { const out = buf.slice(0, m.index + m[0].length); buf = buf.slice(out.length); return out }
      if (Date.now() > end) throw new Error('IMAP: no ' + re)
      await new Promise((r) => { wake = r; setTimeout(r, 1000) })
    }
  }
  await until(/\* OK.*\r\n/)
  const run = async (c) => {
    const tag = 'a' + ++n
    s.write(`${tag} ${c}\r\n`)
    const out = await until(new RegExp(`(^|\\n)${tag} (OK|NO|BAD).*\\r\\n`))
    if (!new RegExp(`(^|\\n)${tag} OK`).test(out)) throw new Error(`IMAP: ${c.slice(0, 200)}: ${out}`)
    return out
  }
  await run(`LOGIN ${user} demo`)
  // many appends messages, hundreds in a command (RFC 3502); when says when each came.
  async function many(box, count, text, when) {
    for (let at = 0; at < count; at += 500) {
      let c = `APPEND ${box}`
      for (let i = at; i < Math.min(count, at + 500); i++) { const b = text(i); c += `${when ? ` "${when(i)}"` : ''} {${Buffer.byteLength(b)}+}\r\n${b}` }
      await run(c)
    }
  }
  return { run, many, end: () => s.destroy(), append: async (box, text, flags = '') => { const b = Buffer.from(text); s.write(`x1 APPEND ${box} ${flags ? `(${flags}) ` : ''}{${b.length}+}\r\n`); s.write(b); s.write('\r\n'); await until(/x1 OK.*\r\n/) } }
}

// deliver is a message from outside.
export async function deliver(srv, text, to = 'ada@demo.test', from = 'stranger@elsewhere.example') {
  const s = net.connect(srv.mx, '127.0.0.1')
  let buf = '', wake = () => {}
  s.on('data', (b) => { buf += b; wake() })
  const answer = async (code) => {
    const end = Date.now() + 60_000
    while (!new RegExp(`(^|\\n)${code} `).test(buf)) {
      if (/(^|\n)[45]\d\d /.test(buf) || Date.now() > end) throw new Error('SMTP: ' + buf)
      await new Promise((r) => { wake = r; setTimeout(r, 1000) })
    }
    buf = ''
  }
  await answer(220)
  for (const [line, code] of [['EHLO elsewhere.example', 250], [`MAIL FROM:<${from}>`, 250], [`RCPT TO:<${to}>`, 250], ['DATA', 354]]) { s.write(line + '\r\n'); await answer(code) }
  s.write(text.replace(/\r?\n/g, '\r\n').replace(/^\./gm, '..') + '\r\n.\r\n')
  await answer(250)
  s.end('QUIT\r\n')
}

export const mail = (o) => Object.entries({ From: 'Stranger <stranger@elsewhere.example>', To: 'ada@demo.test', Date: new Date().toUTCString().replace('GMT', '+0000'), 'Message-ID': `<${Math.random()}@elsewhere.example>`, 'MIME-Version': '1.0', ...o.headers })
  .map(([k, v]) => `${k}: ${v}\r\n`).join('') + (o.html ? 'Content-Type: text/html; charset=utf-8\r\n\r\n' + o.html : 'Content-Type: text/plain; charset=utf-8\r\n\r\n' + (o.text || 'Hello.'))

// A stage is one browser window on one server.
export class Stage {
  constructor(browser, trap, srv, o) { Object.assign(this, { browser, trap, srv, o }) }
  async open() {
    const { dark, phone, width, height } = this.o
    this.context = await this.browser.newContext({ viewport: phone ? { width: 390, height: 844 } : { width: width || 1440, height: height || 900 }, colorScheme: dark ? 'dark' : 'light', hasTouch: !!phone, isMobile: !!phone, deviceScaleFactor: 1, locale: this.o.locale || 'en-GB', timezoneId: 'Europe/Berlin', reducedMotion: 'reduce', serviceWorkers: this.o.worker ? 'allow' : 'block' })
    this.context.setDefaultTimeout(40_000)
    this.faults = []
    this.allowed = [/registration blocked by Playwright/, ...(this.o.allow || []), ...(process.env.LAX ? [/404/] : [])]
    this.requests = []
    return (this.page = await this.window())
  }
  async window() {
    const page = await this.context.newPage()
    if (process.env.THROTTLE) await (await this.context.newCDPSession(page)).send('Emulation.setCPUThrottlingRate', { rate: +process.env.THROTTLE })
    page.on('console', (m) => {
      const told = m.text() + (m.location().url ? ' ' + new URL(m.location().url).pathname : '')
      if (['error', 'warning'].includes(m.type()) && !this.allowed.some((re) => re.test(told))) this.faults.push('console: ' + told)
    })
    page.on('pageerror', (e) => this.faults.push('error: ' + e.message))
    page.on('dialog', (d) => { this.faults.push('dialog: ' + d.message()); d.dismiss().catch(() => {}) })
    page.on('request', (r) => {
      this.requests.push(r)
      if (!/^(data|blob|about):/.test(r.url()) && new URL(r.url()).host !== new URL(this.srv.url).host) this.faults.push('request to ' + r.url())
    })
    return page
  }
  async signIn(page = this.page, who = 'Ada') {
    await page.goto(this.srv.url + '/')
    await page.getByText(`Sign in as ${who}`).click()
    await page.locator('.row:not(.sk) .from').first().waitFor()
    return page
  }
  async shot(name, page = this.page) { await page.screenshot({ timeout: 40_000, path: join(shots, `${this.o.id}-${name}${this.o.dark ? '-dark' : ''}${this.o.phone ? '-phone' : ''}.png`) }).catch(() => {}) }
  // row finds a conversation of the list by its subject.
  row(text, page = this.page) { return page.locator('.row', { hasText: text }).first() }
  async openRow(text, page = this.page) {
    await this.row(text, page).click()
    await page.locator('.rb:not(.off) h1').filter({ hasText: text }).waitFor()
    await page.locator('.rb:not(.off) iframe').first().waitFor()
  }
  // body is the frame of the last open message.
  async body(page = this.page) {
    const handle = await page.locator('.rb:not(.off) .mb iframe').last().elementHandle()
    return eventually(async () => { const f = await handle.contentFrame(); return f && (await f.evaluate(() => document.readyState === 'complete' && !!document.querySelector('body.m-body'))) ? f : null }, 'the message is in its frame')
  }
  // undoing takes back the next thing said with text, in the page itself: what is said stays for a few seconds only, and a
  // busy machine may be away for longer. It is called before what it waits for, and answers once it has clicked.
  undoing(text, page = this.page) {
    return page.evaluate((text) => new Promise((done, fail) => {
      const seen = new Set(document.querySelectorAll('.toast'))
      const look = () => {
        const one = [...document.querySelectorAll('.toast')].find((x) => !seen.has(x) && x.textContent.includes(text)), b = one && [...one.querySelectorAll('button')].find((x) => x.textContent.trim() === 'Undo')
        if (b) { watch.disconnect(); b.click(); done() }
      }
      const watch = new MutationObserver(look)
      watch.observe(document.body, { childList: true, subtree: true, characterData: true })
      setTimeout(() => { watch.disconnect(); fail(new Error('never said with Undo: ' + text)) }, 40_000)
    }), text)
  }
  subjects(page = this.page) { return page.$$eval('.row:not(.sk)', (l) => l.map((r) => ({ i: +r.getAttribute('aria-rowindex'), s: r.querySelector('.sub b')?.textContent || '' })).sort((a, b) => a.i - b.i).map((x) => x.s)) }
  async axe(page = this.page, name = '') {
    if (!(await page.evaluate(() => !!window.axe))) await page.evaluate(require('node:fs').readFileSync(axeSource, 'utf8'))
    const r = await page.evaluate(() => axe.run(document, { iframes: false, runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }))
    for (const v of r.violations) this.faults.push(`axe ${name}: ${v.id}: ${v.nodes.length}× ${v.nodes[0].html.slice(0, 160)} ${v.nodes[0].failureSummary?.replace(/\s+/g, ' ').slice(0, 200) || ''}`)
  }
  // painted looks at the pixels behind the text of a message that is on the screen: what has less contrast than 4.5.
  async painted(f, page = this.page) {
    const find = () => f.evaluate(() => {
      const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), out = []
      for (let n; (n = walk.nextNode()); ) {
        const e = n.parentElement
        if (!n.data.trim() || !e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || e.closest('script,style')) continue
        const range = new Range()
        range.selectNodeContents(n)
        for (const r of [...range.getClientRects()].slice(0, 3)) if (r.width > 6 && r.height > 6) out.push({ x: r.x, y: r.y, w: r.width, h: r.height, color: getComputedStyle(e).color, text: n.data.trim().slice(0, 30) })
      }
      return out
    })
    const hide = await f.evaluate(() => { const st = document.createElement('style'); st.textContent = '*{-webkit-text-fill-color:transparent!important;text-shadow:none!important;text-decoration-color:transparent!important}'; document.head.append(st); window.hidden = st; return new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))) }).then(() => true)
    const where = await page.locator('.rb:not(.off) .mb iframe').last().boundingBox(), view = page.viewportSize(), top = await page.locator('#reader').boundingBox()
    const rects = await find(), shot = await page.screenshot({ timeout: 40_000 })
    if (hide) await f.evaluate(() => window.hidden.remove())
    return page.evaluate(async ({ png, rects, where, view, top }) => {
      const img = new Image()
      img.src = 'data:image/png;base64,' + png
      await img.decode()
      const c = new OffscreenCanvas(img.width, img.height).getContext('2d', { willReadFrequently: true })
      c.drawImage(img, 0, 0)
      const lin = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4), Y = (p) => 0.2126 * lin(p[0]) + 0.7152 * lin(p[1]) + 0.0722 * lin(p[2]), low = []
      for (const r of rects) {
        const text = r.color.match(/[\d.]+/g).map(Number), all = []
        for (const at of [0.15, 0.5, 0.85]) {
          const x = Math.round(where.x + r.x + r.w * at), y = Math.round(where.y + r.y + r.h * 0.3)
          if (x < top.x || y < top.y + 4 || x >= Math.min(view.width, top.x + top.width) || y >= Math.min(view.height, top.y + top.height) - 4) continue
          const p = c.getImageData(x, y, 1, 1).data, a = text[3] ?? 1, over = [0, 1, 2].map((i) => text[i] * a + p[i] * (1 - a)), [hi, lo] = [Y(over), Y(p)].sort((m, n) => n - m)
          all.push((hi + 0.05) / (lo + 0.05))
        }
        all.sort((m, n) => m - n)
        if (all.length && all[Math.floor(all.length / 2)] < 4.5) low.push(`${all[Math.floor(all.length / 2)].toFixed(2)} ${r.text}`)
      }
      return low
    }, { png: shot.toString('base64'), rects, where, view, top })
  }
  // watchShifts counts what moves on the screen by itself, in windows that are opened from now on.
  watchShifts() {
    return this.context.addInitScript(() => {
      window.shifts = []
      window.moved = []
      const reading = (x) => (x.node?.closest ? x.node : x.node?.parentElement)?.closest('.rb:not(.off)') && (Math.abs(x.previousRect.top - x.currentRect.top) > 8 || Math.abs(x.previousRect.height - x.currentRect.height) > 8)
      const name = (x) => x.node?.className || x.node?.nodeName
      new PerformanceObserver((l) => {
        for (const e of l.getEntries()) {
          if (e.hadRecentInput) continue
          window.shifts.push([e.value, ...e.sources.map(name)].join(' '))
          window.moved.push(...e.sources.filter(reading).map((x) => `${name(x)} ${JSON.stringify(x.previousRect)} ${JSON.stringify(x.currentRect)}`))
        }
      }).observe({ type: 'layout-shift', buffered: true })
    })
  }
  async still(what, page = this.page) { equal(await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => setTimeout(() => r(window.shifts))))), [], what + ' moves nothing') }
  // stillReading counts what moves up or down in the conversation that is open, by more than the few pixels by which
  // the height of a line is set anew. Those kept ready below it are drawn, and covered.
  async stillReading(what, page = this.page) {
    const all = await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => setTimeout(() => r(window.moved)))))
    equal(all, [], what + ' moves nothing')
  }
  async close() {
    await within(this.context.close(), 60_000, 'the window closes: the browser hangs')
    if (this.faults.length) throw new Error([...new Set(this.faults)].slice(0, 8).join('\n  '))
  }
}
