// Measures what docs/benchmarks.md shows of the mail client.
import { demo, imap, openBrowser, openTrap, Stage, eventually } from './harness.mjs'

const trap = await openTrap(), browser = await openBrowser(trap)
const q = (l, p) => { const a = [...l].sort((x, y) => x - y); return +a[Math.min(a.length - 1, Math.floor(a.length * p))].toFixed(1) }
const say = (what, l) => console.log(`${what.padEnd(46)} p50 ${q(l, 0.5)}   p95 ${q(l, 0.95)}`)
const srv = await demo()
const N = +(process.env.MESSAGES || 100_000)

// Sign-in to a painted inbox, cold and warm.
const cold = [], warm = [], rows = [], bytes = [], requests = []
for (let i = 0; i < 10; i++) {
  const s = new Stage(browser, trap, srv, { id: 'bench', allow: [/./], worker: true })
  await s.open()
  await s.context.addInitScript(() => document.addEventListener('DOMContentLoaded', () => {
    const look = () => requestAnimationFrame(() => (document.querySelector('.row:not(.sk)') ? setTimeout(() => (window.rowsPainted = performance.now())) : look()))
    look()
  }))
  let sum = 0
  s.page.on('requestfinished', async (r) => { const z = await r.sizes().catch(() => null); if (z && /assets|\/$/.test(r.url())) sum += z.responseBodySize })
  await s.page.goto(srv.url + '/')
  const mark = () => s.page.evaluate(() => new Promise((done) => {
    const t = performance.now(), look = () => (document.querySelector('.row:not(.sk)') ? requestAnimationFrame(() => done(performance.now() - t)) : requestAnimationFrame(look))
    const b = [...document.querySelectorAll('button')].find((x) => x.textContent.includes('Ada'))
    b?.click()
    look()
  }))
  cold.push(await mark())
  requests.push(s.requests.filter((r) => !r.url().startsWith('data:')).length)
  await s.page.evaluate(() => navigator.serviceWorker.ready.then(() => null))
  await new Promise((r) => setTimeout(r, 3000)) // the list is kept
  await s.page.reload({ waitUntil: 'commit' })
  await eventually(() => s.page.evaluate(() => !!window.rowsPainted), 'rows')
  rows.push(await s.page.evaluate(() => window.rowsPainted))
  warm.push(await s.page.evaluate(() => { const e = performance.getEntriesByType('paint').find((x) => x.name === 'first-contentful-paint'); return e ? e.startTime : performance.now() }))
  bytes.push(sum)
  await s.context.close()
}
console.log(`bytes of page, script and style to the inbox    ${q(bytes, 0.5)}`)
console.log(`requests to the inbox (sign-in included)        ${q(requests, 0.5)}`)
say('sign-in to inbox painted, ms', cold)
say('reload to first contentful paint, ms', warm)
say('reload to the rows of the inbox painted, ms', rows)

// The next message by key, its frame ready.
const s = new Stage(browser, trap, srv, { id: 'bench', allow: [/./] })
await s.open()
await s.signIn()
await s.page.keyboard.press('Enter')
await s.page.locator('.rb:not(.off) iframe').first().waitFor()
const keys = []
for (let i = 0; i < 60; i++) {
  await new Promise((r) => setTimeout(r, 350))
  keys.push(await s.page.evaluate(() => new Promise((done) => {
    const before = document.querySelector('.rb:not(.off)'), t = performance.now()
    dispatchEvent(new KeyboardEvent('keydown', { key: 'j' }))
    const look = () => requestAnimationFrame(() => {
      const now = document.querySelector('.rb:not(.off)')
      if (now && now !== before && now.querySelector('article')) setTimeout(() => done(performance.now() - t)) // it is painted
      else look()
    })
    look()
  })))
}
say('next message by key to paint, ms', keys)

// A long list: scrolled, jumped through, selected as a whole.
const other = await imap(srv)
await other.run('CREATE Many')
const one = (i) => `From: Sender ${i % 97} <s${i % 97}@elsewhere.example>\r\nTo: ada@demo.test\r\nSubject: Subject number ${i} about things\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <n${i}@elsewhere.example>\r\n\r\nBody ${i} that is long enough for a preview.\r\n`
await other.many('Many', N, one)
other.end()
const asked = (from) => s.requests.slice(from).filter((r) => r.url().endsWith('/jmap/api')).length
let mark = s.requests.length
await s.page.goto(srv.url + '/')
await s.page.locator('.row:not(.sk)').first().waitFor({ timeout: 120_000 })
await new Promise((r) => setTimeout(r, 5000))
console.log(`requests to JMAP in the 5 s after a reload${' '.repeat(6)}${asked(mark)}`)
await s.page.locator('nav.side a', { hasText: 'Many' }).click()
await eventually(async () => (await s.page.locator('#list').getAttribute('aria-rowcount')) === String(N), 'all are counted', 300_000)
await s.page.locator('.row:not(.sk)').first().waitFor()
// Each frame moves on by 480 pixels; what is counted is the script that this causes, and the
// style and layout after it: by the clock, and in time of the processor, which other work does not lengthen.
const cdp = await s.context.newCDPSession(s.page), traced = []
cdp.on('Tracing.dataCollected', (d) => traced.push(...d.value))
await cdp.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['devtools.timeline'] } })
const r = await s.page.evaluate(() => new Promise((done) => {
  const v = document.getElementById('list'), cost = []
  const step = async () => {
    const t = performance.now()
    v.scrollTop += 480
    v.dispatchEvent(new Event('scroll'))
    await null; await null
    v.getBoundingClientRect(); document.body.offsetHeight
    cost.push(performance.now() - t)
    if (cost.length < 400) requestAnimationFrame(step)
    else done({ cost })
  }
  requestAnimationFrame(step)
}))
const told = new Promise((done) => cdp.once('Tracing.tracingComplete', done))
await cdp.send('Tracing.end')
await told
say(`${N} messages: script and layout of a frame, ms`, r.cost)
say('the same, ms of the processor', traced.filter((e) => e.name === 'FireAnimationFrame').map((e) => (e.tdur ?? e.dur) / 1000))
await eventually(async () => !(await s.page.locator('.row.sk').count()), 'rows')
Object.assign(r, await s.page.evaluate(() => ({ nodes: document.querySelectorAll('#list *').length, rows: document.querySelectorAll('#list .row').length })))
console.log(`${N} messages: rows ${r.rows}, nodes in the list ${r.nodes}`)
mark = s.requests.length
const jumps = []
for (let i = 0; i < 20; i++) {
  jumps.push(await s.page.evaluate((part) => new Promise((done) => {
    const v = document.getElementById('list'), t = performance.now()
    v.scrollTop = v.scrollHeight * part
    const look = () => requestAnimationFrame(() => {
      const at = v.getBoundingClientRect(), here = [...v.querySelectorAll('.row')].filter((x) => { const b = x.getBoundingClientRect(); return b.bottom > at.top && b.top < at.bottom })
      if (here.length > 3 && here.every((x) => !x.classList.contains('sk'))) done(performance.now() - t); else look()
    })
    requestAnimationFrame(look)
  }), (i * 7 % 20) / 20 + 0.02))
}
say('a jump to any position to its rows painted, ms', jumps)
console.log(`requests of 20 jumps${' '.repeat(28)}${asked(mark)}`)
mark = s.requests.length
await s.page.evaluate(async () => {
  const v = document.getElementById('list')
  for (let i = 0; i < 200; i++) { v.scrollTop = v.scrollHeight * i / 200; await new Promise(requestAnimationFrame) }
})
await eventually(async () => !(await s.page.locator('.row.sk').count()), 'rows')
console.log(`requests of a pull of the scroll bar over all${' '.repeat(3)}${asked(mark)}`)
await s.page.locator('#list').focus()
await s.page.keyboard.press('Control+a')
await s.page.getByRole('button', { name: /^Select all/ }).click()
const began = Date.now()
await s.page.keyboard.press('Shift+I')
await s.page.getByText('Marked as read').first().waitFor({ timeout: 300_000 })
console.log(`all ${N} marked as read by a job, ms${' '.repeat(10)}${Date.now() - began}`)
console.log(`heap, MB${' '.repeat(40)}${await s.page.evaluate(() => Math.round(performance.memory.usedJSHeapSize / 1e6))}`)
await browser.close()
await srv.stop()
trap.close()
process.exit(0)
