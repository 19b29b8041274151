// The forty scenarios. dark and phone say in which other looks one runs as well.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { deflateRawSync } from 'node:zlib'
import { assert, equal, eventually, imap, deliver, mail, demo, hold } from './harness.mjs'
import { versions, loaded, shells } from './upgrade.mjs'

// zip packs files, as name, bytes and whether they are pressed together.
function zip(files) {
  const out = [], list = []
  let at = 0
  for (const [name, data, pack] of files) {
    const body = pack ? deflateRawSync(data) : data, n = Buffer.from(name), head = (signature, extra) => { const b = Buffer.alloc(extra ? 46 : 30); b.writeUInt32LE(signature); const o = extra ? 6 : 4; if (extra) b.writeUInt16LE(20, 4); b.writeUInt16LE(20, o); b.writeUInt16LE(pack ? 8 : 0, o + 4); b.writeUInt32LE(crc32(data), o + 10); b.writeUInt32LE(body.length, o + 14); b.writeUInt32LE(data.length, o + 18); b.writeUInt16LE(n.length, o + 22); if (extra) b.writeUInt32LE(at, 42); return b }
    list.push(head(0x02014b50, true), n)
    out.push(head(0x04034b50, false), n, body)
    at += 30 + n.length + body.length
  }
  const end = Buffer.alloc(22), dir = Buffer.concat(list)
  end.writeUInt32LE(0x06054b50); end.writeUInt16LE(files.length, 8); end.writeUInt16LE(files.length, 10); end.writeUInt32LE(dir.length, 12); end.writeUInt32LE(at, 16)
  return Buffer.concat([...out, dir, end])
}
function crc32(b) { let c = ~0; for (const x of b) { c ^= x; for (let i = 0; i < 8; i++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1 } return ~c >>> 0 }

const offline = [/Failed to load resource/, /net::ERR/]

// api asks the server as the page does.
const api = (page, calls) => page.evaluate(async (calls) => {
  const headers = { 'Content-Type': 'application/json', 'X-Posthouse-Client': '1' }
  const { capabilities, primaryAccounts } = await (await fetch('/jmap/session', { headers })).json()
  const accountId = primaryAccounts['urn:ietf:params:jmap:mail']
  const r = await fetch('/jmap/api', { method: 'POST', headers, body: JSON.stringify({ using: Object.keys(capabilities), methodCalls: calls.map(([name, args, id]) => [name, { accountId, ...args }, id]) }) })
  return (await r.json()).methodResponses
}, calls)

export const scenarios = [
  {
    id: '01', name: 'sign in, inbox painted, few requests and bytes', phone: true,
    async run(s, srv) {
      const sizes = []
      s.page.on('response', async (r) => { if (r.url().includes('/assets/')) sizes.push(+(r.headers()['content-length'] || (await r.request().sizes().catch(() => ({ responseBodySize: 0 }))).responseBodySize)) })
      await s.watchShifts()
      await s.signIn()
      await eventually(() => s.page.evaluate(() => document.title.includes('Inbox')), 'the title')
      const real = s.requests.filter((r) => !r.url().startsWith('data:') && !/manifest/.test(r.url()))
      assert(real.length <= 6, `${real.length} requests: ${real.map((r) => r.url().replace(srv.url, '')).join(' ')}`)
      await eventually(() => sizes.length >= 2, 'sizes')
      assert(sizes.reduce((a, b) => a + b, 0) <= 110_000, `${sizes} bytes of script and style`)
      await s.axe(s.page, 'inbox')
      await s.still('the first picture')
      await s.page.reload()
      await s.page.locator('.row:not(.sk) .from').first().waitFor()
      await s.still('a reload')
    },
  },
  { id: '02', name: 'passkey sign-in, TOTP', pending: 'passkeys and TOTP come with the issue of sign-in; wrong passwords are scenario 02b' },
  {
    id: '02b', name: 'wrong passwords: one text for all, then seconds to wait, by keys alone', allow: [/401|429/],
    async run(s, srv) {
      const k = s.page.keyboard, said = s.page.getByRole('alert')
      await s.page.goto(srv.url + '/')
      await s.page.getByLabel('Address').focus()
      for (const [address, password] of [['ada@demo.test', 'wrong'], ['nobody@demo.test', 'wrong'], ['ada@demo.test', 'demo2']]) {
        await s.page.getByLabel('Address').fill(address)
        await k.press('Tab')
        await k.type(password)
        const answer = s.page.waitForResponse((r) => r.url().endsWith('/jmap/login'))
        await k.press('Enter')
        equal((await answer).status(), 401, 'refused')
        await said.getByText('This address and password do not belong together.').waitFor()
        equal(await s.page.getByLabel('Password').inputValue(), '', 'the password is to be typed anew')
        await s.page.getByLabel('Address').focus()
      }
      await s.axe(s.page, 'wrong')
      // Who guesses on is made to wait, and told how long.
      await s.page.route('**/jmap/login', (r) => r.fulfill({ status: 429, headers: { 'Retry-After': '3' }, json: {} }))
      await k.press('Tab')
      await k.type('guess')
      await k.press('Enter')
      await said.getByText(/Too many attempts\. Wait \d second/).waitFor()
      assert(await s.page.getByRole('button', { name: 'Sign in', exact: true }).isDisabled(), 'it waits')
      await s.shot('wait')
      await s.axe(s.page, 'wait')
      await s.page.unrouteAll({ behavior: 'ignoreErrors' })
      await eventually(() => s.page.getByRole('button', { name: 'Sign in', exact: true }).isEnabled(), 'the seconds are over')
      await s.page.getByLabel('Password').fill('demo')
      await k.press('Enter')
      await s.page.locator('.row:not(.sk) .from').first().waitFor()
    },
  },
  {
    id: '03', name: 'a conversation: own replies in order, quotes folded, read after a second', dark: true, phone: true,
    async run(s) {
      await s.signIn()
      await s.page.evaluate(() => {
        const had = new Set(), look = () => { for (const r of document.querySelectorAll('.row.un')) if (/Offsite in Porto/.test(r.textContent)) had.add(r); if (!had.size || [...document.querySelectorAll('.row.un')].some((r) => /Offsite in Porto/.test(r.textContent))) requestAnimationFrame(look); else window.readAt = performance.now() }
        addEventListener('click', () => (window.openedAt ??= performance.now()), true)
        look()
      })
      await s.openRow('Offsite in Porto')
      await eventually(async () => (await s.page.locator('.rb:not(.off) article').count()) >= 2, 'messages')
      const earlier = s.page.locator('.rb:not(.off) .earlier')
      equal((await earlier.textContent()).trim(), '3 earlier messages', 'what was read is folded')
      equal(await s.page.locator('.rb:not(.off) article iframe').count(), 2, 'what is unread is open')
      await s.shot('folded')
      await earlier.click()
      await eventually(async () => (await s.page.locator('.rb:not(.off) article').count()) === 6, 'all six messages')
      const names = await s.page.$$eval('.rb:not(.off) article .nm', (l) => l.map((x) => x.textContent))
      equal(names, ['Grace Okafor', 'Linus Haas', 'Me', 'Grace Okafor', 'Ben Okonkwo', 'Linus Haas'], 'own replies in their places')
      const f = await s.body()
      assert(!(await f.locator('details.ph-quote').first().evaluate((x) => x.open)), 'quotes are folded')
      await s.shot('conversation')
      await eventually(async () => !(await s.row('Offsite in Porto').evaluate((r) => r.classList.contains('un'))), 'it becomes read')
      if (!s.o.phone) assert(await s.page.evaluate(() => window.readAt - window.openedAt >= 1000), 'and not before a second')
      await s.axe(s.page, 'reader')
    },
  },
  {
    id: '04', name: 'newsletter: nothing of other hosts until asked, then by our proxy only',
    allow: offline,
    async run(s, srv) {
      await s.signIn()
      await s.openRow('Sourdough, slowly')
      const show = s.page.getByRole('button', { name: 'Show images' })
      await show.waitFor()
      await s.page.getByText('A tracker was removed: t.weeklyloaf.example.').waitFor()
      assert(!s.requests.some((r) => new URL(r.url()).pathname.startsWith('/i/')), 'no image before it was asked for')
      await show.click()
      await eventually(() => s.requests.some((r) => new URL(r.url()).pathname.startsWith('/i/')), 'images come by the proxy')
      assert(s.requests.every((r) => /^(data|blob|about):/.test(r.url()) || r.url().startsWith(srv.url)), 'from nowhere else')
    },
  },
  {
    id: '05', name: 'hostile mail runs nothing, fetches nothing, changes nothing',
    allow: [...offline, /Blocked script execution|Refused to|violates the following|sandboxed/i],
    async run(s, srv) {
      const vectors = readFileSync(new URL('../../web/render/testdata/hostile.txt', import.meta.url), 'utf8').split('\n').filter((l) => l && !l.startsWith('#'))
      await deliver(srv, mail({ headers: { Subject: 'Every vector' }, html: `<p>start</p>${vectors.filter((v) => !/plaintext|<frameset/.test(v)).join('\r\n')}<p>end</p>`.replace(/(.{900}[ >])/g, '$1\r\n') }))
      await deliver(srv, mail({ headers: { Subject: '<img src=x onerror=alert(1)>', From: '"<script>alert(1)</script>" <x@elsewhere.example>' }, text: '<script>alert(1)</script> javascript:alert(1)' }))
      for (const v of vectors.filter((v) => /plaintext|<frameset/.test(v))) await deliver(srv, mail({ headers: { Subject: 'A vector alone ' + vectors.indexOf(v) }, html: `<p>start</p>${v}` }))
      await s.signIn()
      const before = await s.page.evaluate(() => ({ scripts: document.scripts.length, children: document.body.children.length }))
      await s.openRow('Every vector')
      const f = await s.body()
      await f.waitForFunction(() => document.body.textContent.includes('start'))
      equal(await f.evaluate(() => { try { return document.cookie } catch (e) { return e.name } }), 'SecurityError', 'cookie')
      equal(await f.evaluate(() => { try { return parent.document.title } catch (e) { return e.name } }), 'SecurityError', 'parent')
      equal(await f.evaluate(() => { try { return localStorage.length } catch (e) { return e.name } }), 'SecurityError', 'storage')
      equal(await f.evaluate(() => document.querySelectorAll('script,link,meta[http-equiv],base,form,input,iframe,object,svg,math').length), 1, 'only our own script')
      equal(await s.page.evaluate(() => document.scripts.length), before.scripts, 'scripts of the app')
      for (const v of vectors.filter((v) => /plaintext|<frameset/.test(v))) {
        await s.openRow('A vector alone ' + vectors.indexOf(v))
        equal(await (await s.body()).evaluate(() => document.querySelectorAll('script,frame,frameset,plaintext,img[onerror]').length), 1, v)
      }
      equal(await s.page.evaluate(() => ({ scripts: document.scripts.length, handlers: document.querySelectorAll('[onerror],[onload],[onfocus]').length, children: document.body.children.length })), { scripts: before.scripts, handlers: 0, children: before.children }, 'the document of the app')
      await s.page.keyboard.press('Escape')
      await s.page.locator('.row', { hasText: 'onerror' }).first().click()
      await s.page.locator('.rb:not(.off) h1', { hasText: 'onerror' }).waitFor()
      equal(await s.page.evaluate(() => document.querySelectorAll('.rb h1 img, .row img').length), 0, 'no element of the subject')
    },
  },
  {
    id: '06', name: 'dark mail is legible, on the screen too, and can be shown as it was, remembered for the sender', stage: { dark: true },
    async run(s, srv) {
      await s.signIn()
      const contrast = async (what) => {
        const f = await s.body()
        const low = await f.evaluate(() => {
          const lin = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
          const rgb = (c) => { const p = c.match(/[\d.]+/g).map(Number); return [p[0], p[1], p[2], p[3] ?? 1] }
          const Y = (c) => 0.2126 * lin(c[0]) + 0.7152 * lin(c[1]) + 0.0722 * lin(c[2])
          const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), out = []
          for (let n; (n = walk.nextNode()); ) {
            const e = n.parentElement
            if (!n.data.trim() || !e.checkVisibility() || e.closest('script,style')) continue
            let b = [22, 25, 29], picture = false
            for (let x = e; x; x = x.parentElement) { const st = getComputedStyle(x); if (st.backgroundImage !== 'none') { picture = true; break } const c = rgb(st.backgroundColor); if (c[3] > 0.5) { b = c; break } }
            if (picture) continue
            const y = [Y(rgb(getComputedStyle(e).color)), Y(b)].sort((a, c) => c - a), k = (y[0] + 0.05) / (y[1] + 0.05)
            if (k < 4.5) out.push(`${k.toFixed(2)} ${n.data.trim().slice(0, 30)}`)
          }
          return out
        })
        equal(low, [], `contrast in ${what}`)
        equal(await s.painted(f), [], `contrast on the screen in ${what}`)
      }
      await s.page.keyboard.press('Enter')
      const open = (i) => eventually(() => s.page.evaluate((i) => {
        const r = document.querySelector('.row.foc'), h = document.querySelector('.rb:not(.off) h1'), sub = r?.querySelector('.sub b')?.textContent.replace(/^(Re: |Fwd: )+/, '')
        return r?.getAttribute('aria-rowindex') === String(i) && h && h.textContent.includes(sub.slice(0, 20)) && document.querySelector('.rb:not(.off) .mb iframe') ? sub : null
      }, i), 'conversation ' + i)
      for (let i = 1; i <= 20; i++) { // whatever comes first in the inbox
        const what = await open(i)
        await contrast(what)
        if (/Sourdough|November|Action|Chart/.test(what)) await s.shot('mail-' + what.slice(0, 9).replace(/\W/g, ''))
        await s.page.keyboard.press('j')
      }
      await s.page.keyboard.press('Home')
      await s.openRow('Your November statement')
      await s.page.locator('.rb:not(.off)').getByRole('button', { name: 'Show original colours' }).click()
      await eventually(async () => !(await s.page.locator('.rb:not(.off) .mb iframe').last().getAttribute('src')).includes('dark=1'), 'the original')
      await s.page.reload()
      await s.page.locator('.rb:not(.off) .mb iframe').first().waitFor()
      assert(!(await s.page.locator('.rb:not(.off) .mb iframe').last().getAttribute('src')).includes('dark=1'), 'it is remembered')
      // It is remembered for the sender: another message of theirs, and nobody else's.
      const from = (await s.page.locator('.rb:not(.off) .ad').allTextContents()).join(' ').match(/<([^>]+)>/)?.[1] || (await api(s.page, [['Email/query', { filter: { subject: 'Your November statement' } }, 'q'], ['Email/get', { '#ids': { resultOf: 'q', name: 'Email/query', path: '/ids' }, properties: ['from'] }, 'g']]))[1][1].list[0].from[0].email
      const other = await imap(srv), white = '<body style="background:#fff;color:#222"><p style="background:#fff">White paper.</p></body>'
      await other.append('INBOX', mail({ headers: { From: `The bank <${from}>`, Subject: 'Another statement' }, html: white }))
      await other.append('INBOX', mail({ headers: { From: 'Nobody <nobody@elsewhere.example>', Subject: 'Of somebody else' }, html: white }))
      other.end()
      await eventually(async () => { const l = await s.subjects(); return l.includes('Another statement') && l.includes('Of somebody else') }, 'both came')
      await s.openRow('Another statement')
      assert(!(await s.page.locator('.rb:not(.off) .mb iframe').last().getAttribute('src')).includes('dark=1'), 'remembered for the sender')
      await s.shot('original-second')
      await s.openRow('Of somebody else')
      assert((await s.page.locator('.rb:not(.off) .mb iframe').last().getAttribute('src')).includes('dark=1'), 'and for nobody else')
      await s.openRow('Another statement')
      await s.page.locator('.rb:not(.off)').getByRole('button', { name: 'Make dark' }).click()
      await eventually(async () => (await s.page.locator('.rb:not(.off) .mb iframe').last().getAttribute('src')).includes('dark=1'), 'dark again')
    },
  },
  {
    id: '07', name: 'phishing: reasons in words, no field, the link shows where it leads',
    async run(s) {
      await s.signIn()
      await s.openRow('Action required')
      const panel = s.page.locator('.note.bad')
      await panel.waitFor()
      const words = await panel.textContent()
      assert(/198\.51\.100\.7/.test(words) && /drop\.example/.test(words) && /fields are off/.test(words), words)
      const f = await s.body()
      equal(await f.evaluate(() => document.querySelectorAll('form,input,button').length), 0, 'fields')
      await f.evaluate(() => document.querySelector('a[href]').addEventListener('click', (e) => e.preventDefault()))
      await f.click('a[href]')
      await s.page.getByRole('alertdialog').getByText('198.51.100.7').waitFor()
      await s.shot('link')
      await s.page.getByRole('button', { name: 'Stay here' }).click()
      await panel.getByRole('button', { name: 'Move to Junk' }).click()
      await eventually(async () => !(await s.subjects()).some((x) => x.startsWith('Action required')), 'it left')
      const other = await imap(s.srv), has = async (box, flag) => { await other.run(`SELECT ${box}`); return /\* SEARCH \d/.test(await other.run(`SEARCH ${flag} SUBJECT "Action required"`)) }
      await eventually(() => has('Junk', 'KEYWORD $Junk'), 'the other program sees it in Junk, marked')
      await s.page.getByRole('button', { name: 'Undo' }).first().click()
      await eventually(async () => (await s.subjects()).some((x) => x.startsWith('Action required')), 'it came back')
      await eventually(() => has('INBOX', 'UNKEYWORD $Junk'), 'and so does the other program')
      other.end()
    },
  },
  {
    id: '08', name: 'an invitation as a card; the answer goes by iMIP; changes and cancellation replace it', phone: true,
    async run(s, srv) {
      const ics = (o) => ['BEGIN:VCALENDAR', 'PRODID:-//Elsewhere//Calendar//EN', 'VERSION:2.0', `METHOD:${o.method || 'REQUEST'}`, 'BEGIN:VEVENT', 'UID:planning-1@demo.test', `SEQUENCE:${o.sequence}`, `DTSTAMP:2026010${o.sequence + 1}T100000Z`,
        `DTSTART;TZID=America/New_York:20400302T${o.hour || '09'}0000`, `DTEND;TZID=America/New_York:20400302T${o.hour || '09'}4500`, 'SUMMARY:Planning\\, the second', 'LOCATION:Room 7', 'ORGANIZER;CN=Ben:mailto:ben@demo.test', 'ATTENDEE;CN="Ada";PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:ada@demo.test', 'END:VEVENT', 'END:VCALENDAR', ''].join('\r\n')
      const letter = (o) => mail({ headers: { From: 'Ben <ben@demo.test>', Subject: o.subject, 'Content-Type': 'multipart/alternative; boundary=b1' }, text: '' }).replace(/Content-Type: text\/plain[^]*$/, '') +
        `\r\n--b1\r\nContent-Type: text/plain\r\n\r\nYou are invited.\r\n--b1\r\nContent-Type: text/calendar; charset=utf-8; method=${o.method || 'REQUEST'}\r\n\r\n${ics(o)}\r\n--b1--\r\n`
      const ada = await imap(srv)
      await ada.append('INBOX', letter({ subject: 'Invitation: Planning', sequence: 0 }))
      await s.watchShifts()
      await s.signIn()
      await s.openRow('Invitation: Planning')
      const card = s.page.locator('.rb:not(.off) .inv')
      await card.getByText('Planning, the second').waitFor()
      const text = await card.textContent()
      assert(/15:00/.test(text) && /15:45/.test(text) && /09:00 America\/New_York/.test(text) && /Room 7/.test(text) && /Ben invites/.test(text), 'in the own time zone, and theirs: ' + text)
      await s.axe(s.page, 'invitation')
      await card.getByRole('button', { name: 'Yes' }).click()
      await card.getByText('You accepted.').waitFor()
      await s.shot('card')
      const ben = await imap(srv, 'ben@demo.test')
      await ben.run('SELECT INBOX')
      await eventually(async () => { await ben.run('NOOP'); return /\* SEARCH \d+/.test(await ben.run('SEARCH SUBJECT "Accepted: Planning"')) }, 'the organizer has the answer')
      const n = (await ben.run('SEARCH SUBJECT "Accepted: Planning"')).match(/\* SEARCH (\d+)/)[1], whole = await ben.run(`FETCH ${n} BODY.PEEK[]`)
      const [, head, coded] = whole.match(/(Content-Type: text\/calendar[^]*?)\r\n\r\n([^]*?)\r\n--/i), answer = /base64/i.test(head) ? Buffer.from(coded, 'base64').toString() : coded
      assert(/method="?REPLY/i.test(head) && /METHOD:REPLY/.test(answer) && /PARTSTAT=ACCEPTED/.test(answer) && /UID:planning-1@demo\.test/.test(answer), whole + answer)
      ben.end()
      // The card, notices and the body come at different times, and none moves another.
      let from = ''
      const still = async (what) => {
        await eventually(async () => (await s.page.evaluate(() => location.href)) !== from, 'the address says what is open')
        await s.page.goto((from = await s.page.evaluate(() => location.href)))
        await s.page.locator('.rb:not(.off) > .answer').waitFor()
        await s.body()
        await s.stillReading(what)
      }
      await still('a reload on an invitation')
      await card.getByText('You accepted.').waitFor()
      await ada.append('INBOX', letter({ subject: 'Changed: Planning', sequence: 1, hour: '10' }))
      await s.page.reload()
      await card.getByText('This was changed since').waitFor()
      assert(/16:00/.test(await card.textContent()), 'the new time')
      await ada.append('INBOX', letter({ subject: 'Off: Planning', sequence: 2, method: 'CANCEL' }))
      ada.end()
      await s.page.reload()
      await card.getByText('This was cancelled.').waitFor()
      equal(await card.getByRole('button', { name: 'Yes' }).count(), 0, 'nothing to answer')
      await s.shot('cancelled')
      await s.axe(s.page, 'cancelled')
      if (s.o.phone) await s.page.getByRole('button', { name: 'Back to the list' }).click()
      await s.openRow('Sourdough, slowly')
      await still('a reload on a newsletter')
      await s.page.locator('.rb:not(.off) .note', { hasText: 'mailing list' }).waitFor()
      await s.page.locator('.rb:not(.off) .note', { hasText: 'not shown' }).waitFor()
    },
  },
  {
    id: '09', name: 'unsubscribe: the server makes the one request; a receipt only when one says so',
    allow: offline,
    async run(s, srv) {
      await deliver(srv, mail({ headers: { Subject: 'A list with one click', 'List-Unsubscribe': '<https://list.elsewhere.example/u/1>', 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' } }))
      await s.signIn()
      await s.openRow('A list with one click')
      await s.page.locator('.rb:not(.off)').getByRole('button', { name: 'Unsubscribe' }).click()
      // The demo reaches nobody: that is said, and the button stays.
      await s.page.locator('.toast', { hasText: 'The list did not take it' }).first().waitFor()
      const asked = s.requests.filter((r) => (r.postData() || '').includes('Email/unsubscribe'))
      equal(asked.length, 1, 'one wish')
      const byHand = s.page.getByRole('alertdialog', { name: 'Open this link?' }) // is offered then
      await byHand.waitFor()
      await eventually(() => byHand.evaluate((d) => d.contains(document.activeElement)), 'the focus is in the question')
      await s.axe(s.page, 'a link of the list')
      await s.page.keyboard.press('Escape')
      await byHand.waitFor({ state: 'detached' })
      const button = s.page.locator('.rb:not(.off)').getByRole('button', { name: 'Unsubscribe' })
      equal(await button.count(), 1, 'the button stays')
      // Where the list takes it the server marks the message (jmap.TestUnsubscribe: one POST, no cookie, no redirect).
      const other = await imap(srv)
      await s.page.route('**/jmap/api', async (r) => {
        const b = r.request().postDataJSON(), call = b.methodCalls.find((c) => c[0] === 'Email/unsubscribe')
        if (!call) return r.continue().catch(() => {})
        await other.run('SELECT INBOX')
        const n = (await other.run('SEARCH SUBJECT "A list with one click"')).match(/\* SEARCH (\d+)/)[1]
        await other.run(`STORE ${n} +FLAGS ($unsubscribed)`)
        await r.fulfill({ json: { methodResponses: [['Email/unsubscribe', { accountId: call[1].accountId, status: 'unsubscribed' }, call[2]]], sessionState: 'x' } })
      })
      await button.click()
      await s.page.locator('.toast', { hasText: /^Unsubscribed/ }).first().waitFor()
      await s.page.locator('.rb:not(.off) .note', { hasText: 'mailing list' }).getByText('Unsubscribed', { exact: true }).waitFor()
      equal(await button.count(), 0, 'the button became the word')
      await s.shot('unsubscribed')
      await s.page.unrouteAll({ behavior: 'ignoreErrors' })
      other.end()
      await s.page.reload()
      await s.page.locator('.rb:not(.off) .note', { hasText: 'mailing list' }).getByText('Unsubscribed', { exact: true }).waitFor()
      assert(s.requests.every((r) => /^(data|blob|about):/.test(r.url()) || r.url().startsWith(srv.url)), 'the browser asked nobody')
      const ben = await imap(srv, 'ben@demo.test'), told = async (what) => { await ben.run('SELECT INBOX'); return /\* SEARCH \d/.test(await ben.run(`SEARCH SUBJECT "Read: ${what}"`)) }
      for (const what of ['Did you read it', 'Or this']) await deliver(srv, mail({ headers: { From: 'Ben <ben@demo.test>', Subject: what, 'Disposition-Notification-To': '<ben@demo.test>', 'Return-Path': '<ben@demo.test>' } }), 'ada@demo.test', 'ben@demo.test')
      await s.openRow('Or this')
      await s.page.locator('.rb:not(.off)').getByRole('button', { name: 'Do not tell' }).click()
      await s.page.locator('.toast', { hasText: 'The sender is not told' }).waitFor()
      await s.openRow('Did you read it')
      await s.page.locator('.rb:not(.off)').getByRole('button', { name: 'Tell them' }).waitFor()
      await s.shot('receipt')
      await s.page.locator('.rb:not(.off)').getByRole('button', { name: 'Tell them' }).click()
      await s.page.locator('.toast', { hasText: 'The sender is told' }).waitFor()
      await eventually(() => told('Did you read it'), 'Ben is told')
      assert(!(await told('Or this')), 'of the other he is not')
      ben.end()
    },
  },
  {
    id: '10', name: 'attachments: pictures, files, a risky name',
    async run(s, srv) {
      await s.signIn()
      await s.openRow('Photos from the workshop')
      await eventually(() => s.page.locator('.rb:not(.off) .att img').evaluateAll((l) => l.length >= 3 && l.every((i) => i.complete && i.naturalWidth > 0)), 'pictures')
      await s.shot('pictures')
      await s.page.locator('.rb:not(.off) .att a').first().click()
      const dialog = s.page.getByRole('dialog', { name: 'Preview' })
      await eventually(() => dialog.locator('img').evaluate((i) => i.complete && i.naturalWidth > 0), 'the first picture')
      await s.page.keyboard.press('ArrowRight')
      await dialog.getByText(/^2 of /).waitFor()
      await eventually(() => dialog.locator('img').evaluate((i) => i.complete && i.naturalWidth > 0), 'the second picture')
      await s.shot('preview')
      await s.axe(s.page, 'preview')
      const [file] = await Promise.all([s.page.waitForEvent('download'), dialog.getByRole('link', { name: 'Download' }).click()])
      assert(/\.png$/.test(file.suggestedFilename()), file.suggestedFilename())
      await s.page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' })
      const box = await imap(srv)
      await box.append('INBOX', mail({ headers: { Subject: 'Two files', 'Content-Type': 'multipart/mixed; boundary=b1' }, text: '' }).replace(/Content-Type: text\/plain[^]*$/, '') +
        '\r\n--b1\r\nContent-Type: text/plain\r\n\r\nSee.\r\n--b1\r\nContent-Type: text/plain; name=notes.txt\r\nContent-Disposition: attachment; filename=notes.txt\r\n\r\nThe words in the file.\r\n--b1\r\nContent-Type: text/html; name=invoice.pdf.html\r\nContent-Disposition: attachment; filename=invoice.pdf.html\r\n\r\n<script>alert(1)</script>\r\n--b1--\r\n')
      box.end()
      await s.openRow('Two files')
      const [archive] = await Promise.all([s.page.waitForEvent('download'), s.page.locator('.rb:not(.off)').getByRole('link', { name: 'Save all' }).click()])
      equal(archive.suggestedFilename(), 'Two files.zip', 'the archive')
      const zipped = readFileSync(await archive.path())
      assert(zipped.readUInt32LE(0) === 0x04034b50 && zipped.includes('notes.txt') && zipped.includes('invoice.pdf.html') && zipped.readUInt16LE(zipped.length - 12) === 2, 'both files are in it')
      await s.page.locator('.rb:not(.off) .att a', { hasText: 'notes.txt' }).click()
      await dialog.getByText('The words in the file.').waitFor()
      await s.page.keyboard.press('ArrowRight')
      await dialog.getByText('Careful: this file can run programs.').waitFor()
      await s.page.keyboard.press('Escape')
      // Through all of them by keys, a PDF among them, which opens in a window of its own.
      const pdf = '%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\ntrailer<</Root 1 0 R>>\n'
      const more = await imap(srv)
      await more.append('INBOX', mail({ headers: { Subject: 'Papers', 'Content-Type': 'multipart/mixed; boundary=b1' }, text: '' }).replace(/Content-Type: text\/plain[^]*$/, '') +
        `\r\n--b1\r\nContent-Type: text/plain\r\n\r\nSee.\r\n--b1\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=report.pdf\r\n\r\n${Buffer.from(pdf).toString('base64')}\r\n--b1\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=after.txt\r\n\r\nAfter the report.\r\n--b1--\r\n`)
      more.end()
      await s.openRow('Papers')
      await s.page.locator('.rb:not(.off) .att a', { hasText: 'report.pdf' }).focus()
      await s.page.keyboard.press('Enter')
      const open = dialog.getByRole('link', { name: 'Open in a new tab' })
      await open.waitFor()
      await s.axe(s.page, 'a PDF')
      const answer = await s.page.evaluate(async (u) => { const r = await fetch(u); return [r.status, r.headers.get('content-type'), r.headers.get('content-disposition'), (await r.text()).slice(0, 5)] }, await open.getAttribute('href'))
      equal(answer, [200, 'application/pdf', 'inline; filename="report.pdf"', '%PDF-'], 'the browser shows it')
      equal([await open.getAttribute('target'), await open.getAttribute('rel')], ['_blank', 'noopener noreferrer'], 'in a window of its own')
      for (let i = 0; i < 10 && !(await open.evaluate((e) => e === document.activeElement)); i++) await s.page.keyboard.press('Tab')
      assert(await open.evaluate((e) => e === document.activeElement), 'keys reach it')
      await s.page.keyboard.press('j')
      await dialog.getByText('After the report.').waitFor()
      await s.page.keyboard.press('Home')
      await open.waitFor()
      await s.page.keyboard.press('End')
      await dialog.getByText('After the report.').waitFor()
      await s.page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' })
      assert(await s.page.evaluate(() => document.activeElement.closest('.att')?.textContent.includes('report.pdf')), 'the focus is back at the files')
      await s.openRow('Chart for the deck')
      const f = await s.body()
      await eventually(() => f.evaluate(() => [...document.images].some((i) => i.complete && i.naturalWidth > 0)), 'the inline chart')
      await s.axe(s.page, 'attachments')
    },
  },
  {
    id: '10b', name: 'a bounce in plain words; headers and checks explained', dark: true,
    async run(s) {
      await s.signIn(s.page, 'Ben')
      await s.openRow('Undelivered Mail')
      const card = s.page.locator('.rb:not(.off) .card')
      await card.getByText('nobody@nowhere.example: there is no such address at nowhere.example.').waitFor()
      await card.getByRole('button', { name: 'Show the message' }).waitFor()
      // Whoever does not exist need not stay in the contacts.
      equal(await card.getByRole('button', { name: 'Take it out' }).count(), 0, 'nobody of the contacts')
      await api(s.page, [['ContactCard/set', { create: { n: { name: { full: 'No Body' }, emails: { e: { address: 'Nobody@nowhere.example' } } } } }, '0']])
      await s.page.reload()
      await card.getByRole('button', { name: 'Take it out' }).waitFor()
      await s.shot('bounce')
      await s.axe(s.page, 'bounce')
      const book = async () => (await api(s.page, [['ContactCard/query', { filter: { email: 'nobody@nowhere.example' } }, '0']]))[0][1].ids.length
      await Promise.all([s.undoing('is no longer in the contacts'), card.getByRole('button', { name: 'Take it out' }).click()])
      await eventually(async () => (await book()) === 1, 'out, and undone')
      await card.getByRole('button', { name: 'Take it out' }).click()
      await eventually(async () => (await book()) === 0, 'it is out')
      await s.page.locator('.rb:not(.off)').getByRole('button', { name: 'Details' }).first().click()
      await s.page.locator('.rb:not(.off) .why li').first().waitFor()
      await s.shot('details')
      await s.axe(s.page, 'details')
      await s.page.locator('.rb:not(.off)').getByRole('button', { name: 'Show headers' }).click()
      const dialog = s.page.getByRole('dialog')
      await dialog.locator('dt', { hasText: 'Auto-Submitted' }).waitFor()
      await s.shot('headers')
      await s.axe(s.page, 'headers')
      await dialog.getByRole('button', { name: 'Source' }).click()
      await dialog.locator('pre', { hasText: 'Diagnostic-Code: smtp; 550 5.1.1 no such user' }).waitFor()
      await s.page.keyboard.press('Escape')
      await card.getByRole('button', { name: 'Show the message' }).click()
      await s.page.locator('.rb:not(.off) h1', { hasText: 'Are you there?' }).waitFor()
    },
  },
  {
    id: '10c', name: 'did my message arrive, and how did this come here: the trace in plain words', dark: true, phone: true,
    async run(s, srv) {
      const p = s.page
      await deliver(srv, mail({ headers: { Subject: 'From far away' }, text: 'Hello from elsewhere.' }))
      await s.signIn()
      const dialog = (name) => p.getByRole('dialog', { name })
      await s.openRow('From far away')
      await s.body()
      await p.locator('.rb:not(.off)').getByRole('button', { name: 'Details' }).click()
      await p.locator('.rb:not(.off)').getByRole('button', { name: 'How did this come here?' }).click()
      const came = dialog('How did this come here?')
      await came.getByText('ada@demo.test: it was delivered.').waitFor()
      await came.getByText('It came from').waitFor()
      await s.shot('came')
      await s.axe(p, 'came')
      await p.keyboard.press('Escape')
      await came.waitFor({ state: 'detached' })
      await p.keyboard.press('u')
      await p.keyboard.press('c')
      await p.locator('.cmp input[id^=to-]').fill('ben@demo.test, mei@tanaka.example')
      await p.locator('.cmp input[id^=subject-]').fill('To two of them')
      await p.locator('.cmp').getByRole('button', { name: 'Send', exact: true }).click()
      const sure = p.locator('.cmp').getByRole('button', { name: 'Send all the same' }), toast = p.locator('.toast', { hasText: 'Sending' })
      await sure.or(toast).first().waitFor()
      if (await sure.count()) await sure.click()
      await toast.getByRole('button', { name: 'Send now' }).click()
      await p.keyboard.press('g')
      await p.keyboard.press('t')
      await s.openRow('To two of them')
      await p.keyboard.press('Control+k')
      await p.keyboard.type('did my message')
      await p.keyboard.press('Enter')
      const arrived = dialog('Did my message arrive?')
      await arrived.getByText('ben@demo.test: it was delivered.').waitFor()
      await arrived.getByText('mei@tanaka.example: tanaka.example did not take it.').waitFor()
      await arrived.getByText('Not for all.').waitFor()
      await arrived.locator('q', { hasText: '550 5.7.1' }).first().waitFor()
      await s.shot('arrived')
      await s.axe(p, 'arrived')
    },
  },
  {
    id: '10d', name: 'a receipt is asked for, and told when it comes', dark: true,
    async run(s) {
      const p = s.page
      await s.signIn()
      await p.keyboard.press('c')
      const cmp = p.locator('.cmp')
      await cmp.locator('input[id^=to-]').fill('ben@demo.test')
      await cmp.locator('input[id^=subject-]').fill('Have you read this')
      await cmp.getByRole('button', { name: 'More ways to send' }).click()
      await p.getByRole('menuitem', { name: 'Ask for a receipt' }).click()
      await cmp.getByText('A receipt is asked for.').waitFor()
      await s.shot('asks')
      await s.axe(p, 'asks')
      await cmp.getByRole('button', { name: 'Send', exact: true }).click()
      await p.locator('.toast', { hasText: 'Sending' }).getByRole('button', { name: 'Send now' }).click()
      // Ben tells.
      const other = await s.browser.newContext({ serviceWorkers: 'block' })
      other.setDefaultTimeout(40_000)
      try {
        const b = await other.newPage()
        await s.signIn(b, 'Ben')
        await s.openRow('Have you read this', b)
        await b.locator('.rb:not(.off)').getByRole('button', { name: 'Tell them' }).click()
        await b.locator('.toast', { hasText: 'The sender is told' }).waitFor()
      } finally { await other.close() }
      await p.keyboard.press('g')
      await p.keyboard.press('t')
      await s.openRow('Have you read this')
      const box = p.locator('.rb:not(.off)')
      await box.getByRole('button', { name: 'Details' }).first().click()
      await box.getByText('ben@demo.test: it was read.').waitFor()
      await box.getByRole('link', { name: 'The receipt' }).waitFor()
      await s.shot('read')
      await box.getByRole('button', { name: 'Did my message arrive?' }).first().click()
      await p.getByRole('dialog', { name: 'Did my message arrive?' }).getByText('ben@demo.test: it was read.').waitFor()
      await s.shot('trace')
      await s.axe(p, 'trace')
    },
  },
  {
    id: '11', name: 'Arabic and Japanese: directions, nothing too wide', phone: true,
    async run(s) {
      await s.signIn()
      const row = s.page.locator('.row', { hasText: 'نور' }).first()
      equal(await row.locator('.sub').evaluate((e) => getComputedStyle(e).direction), 'rtl', 'the row')
      await row.click()
      await s.page.locator('.rb:not(.off) iframe').first().waitFor()
      const f = await s.body()
      equal(await f.evaluate(() => getComputedStyle(document.querySelector('.ph-text div')).direction), 'rtl', 'the text')
      assert(await s.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is too wide')
      await s.page.evaluate(() => localStorage.setItem('settings', JSON.stringify({ language: 'ar' })))
      await s.page.reload()
      await s.page.locator('.row:not(.sk) .from').first().waitFor({ state: 'attached' })
      equal(await s.page.evaluate(() => document.documentElement.dir), 'rtl', 'the app')
      assert(await s.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is too wide in Arabic')
    },
  },
  {
    id: '12', name: 'a message of 30 MB with 500 kB of HTML: there at once, its beginning first, and all of it when asked',
    async run(s, srv) {
      const line = '<p>' + 'Some words of a long story. '.repeat(20) + '</p>\r\n', b64 = (n) => Buffer.alloc(n, 'posthouse').toString('base64').replace(/(.{76})/g, '$1\r\n')
      const box = await imap(srv)
      await box.append('INBOX', mail({ headers: { Subject: 'A long story', 'Content-Type': 'multipart/mixed; boundary=b1' }, text: '' }).replace(/Content-Type: text\/plain[^]*$/, '') +
        `\r\n--b1\r\nContent-Type: text/html; charset=utf-8\r\n\r\n${line.repeat(900)}<p id=z>The very end.</p>\r\n--b1\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=big.bin\r\n\r\n${b64(21e6)}\r\n--b1--\r\n`)
      await box.append('INBOX', mail({ headers: { Subject: 'A short note' } }))
      box.end()
      await s.signIn()
      // How long it takes, and the longest task meanwhile, as of the press of the button. Of what is measured on a busy machine
      // the least is the truth: one attempt out of eight must do, and where even a short note takes long, so may this.
      const attempt = async (subject) => {
        await s.page.goto(srv.url + '/')
        await s.row(subject).waitFor()
        await eventually(() => s.page.evaluate(() => new Promise((r) => requestIdleCallback(() => r(true), { timeout: 5000 }))), 'the page is idle')
        return s.page.evaluate((subject) => new Promise((done) => {
          let longest = 0
          const watch = new PerformanceObserver((l) => { for (const e of l.getEntries()) longest = Math.max(longest, e.duration) })
          watch.observe({ type: 'longtask' })
          const began = performance.now(), frames = new Set()
          addEventListener('message', (e) => { if (e.data?.t === 'height' && e.data.h > 0) frames.add(e.source) })
          ;[...document.querySelectorAll('.row')].find((r) => r.textContent.includes(subject)).click()
          const look = () => {
            const f = [...document.querySelectorAll('.rb:not(.off) .mb iframe')].at(-1)
            if (!f || !document.querySelector('.rb:not(.off) h1')?.textContent.includes(subject) || !frames.has(f.contentWindow)) return requestAnimationFrame(look)
            const ms = performance.now() - began
            setTimeout(() => { for (const e of watch.takeRecords()) longest = Math.max(longest, e.duration); done({ ms, longest }) }, 300)
          }
          requestAnimationFrame(look)
        }), subject)
      }
      const seen = []
      let ok = false
      for (let i = 0; i < 8 && !ok; i++) {
        const note = await attempt('A short note'), story = await attempt('A long story')
        seen.push(`${story.ms.toFixed(0)}/${story.longest.toFixed(0)} (a note: ${note.ms.toFixed(0)}/${note.longest.toFixed(0)})`)
        ok = story.ms <= Math.max(300, 3 * note.ms) && story.longest <= Math.max(50, 3 * note.longest)
      }
      assert(ok, 'ms to read and longest task: ' + seen.join(', '))
      process.stderr.write(`12: ${seen.join(', ')}\n`)
      let f = await s.body()
      assert(!(await f.evaluate(() => document.body.textContent.includes('The very end.'))), 'the end is not there yet')
      await s.page.locator('.rb:not(.off) .att', { hasText: 'big.bin' }).waitFor()
      await s.page.getByRole('button', { name: /Show all/ }).click()
      await eventually(async () => { f = await s.body(); return f.evaluate(() => document.body.textContent.includes('The very end.')) }, 'the end')
    },
  },
  {
    id: '13', name: 'keys: j e j e z z, focus and undo in order',
    async run(s) {
      await s.signIn()
      const before = await s.subjects(), press = (k) => s.page.keyboard.press(k)
      const top = async (want) => eventually(async () => JSON.stringify((await s.subjects()).slice(0, want.length)) === JSON.stringify(want), `the list begins with ${want}`)
      await press('j'); await press('e')
      await top([before[0], before[2], before[3]])
      const at = (want) => eventually(() => s.page.evaluate((want) => document.querySelector('.row.foc .sub b')?.textContent === want && document.activeElement.id === 'list', want), `the focus is on ${want}`)
      await at(before[2])
      await press('j')
      await at(before[3])
      await press('e')
      await top([before[0], before[2], before[4]])
      assert(await s.page.evaluate(() => document.activeElement !== document.body), 'focus is not lost')
      await at(before[4])
      await press('z')
      await top([before[0], before[2], before[3]])
      await at(before[3])
      await press('z')
      await top(before.slice(0, 6))
      await at(before[1])
      equal(await s.page.evaluate(() => [document.getElementById('list').scrollTop, document.querySelectorAll('.row.sel').length]), [0, 0], 'scroll and selection')
    },
  },
  {
    id: '14', name: 'three archived on a slow line: gone at once, and for good',
    async run(s) {
      await s.signIn()
      const before = await s.subjects()
      await s.page.route('**/jmap/api', async (r) => { await new Promise((f) => setTimeout(f, 1500)); await r.continue().catch(() => {}) })
      for (const k of ['x', 'j', 'x', 'j', 'x']) await s.page.keyboard.press(k)
      await s.page.getByText('3 selected').waitFor()
      const ms = await s.page.evaluate(() => new Promise((done) => {
        const n = document.querySelectorAll('.row.sel').length, t = performance.now()
        document.getElementById('list').focus()
        dispatchEvent(new KeyboardEvent('keydown', { key: 'e', bubbles: true }))
        const look = () => (document.querySelectorAll('.row.sel').length < n ? done(performance.now() - t) : requestAnimationFrame(look))
        requestAnimationFrame(look)
      }))
      assert(ms < 1400, `gone after ${ms} ms: before the server knew`)
      await eventually(async () => (await s.subjects())[0] === before[3], 'rows are gone')
      for (let i = 0; i < 20; i++) { assert((await s.subjects())[0] === before[3], 'and do not come back'); await new Promise((r) => setTimeout(r, 200)) }
      await s.page.unrouteAll({ behavior: 'ignoreErrors' })
      await s.page.reload()
      await s.page.locator('.row:not(.sk) .from').first().waitFor()
      equal((await s.subjects())[0], before[3], 'after a reload')
    },
  },
  {
    id: '15', name: 'the server refuses: the row comes back and says why',
    async run(s) {
      await s.signIn()
      const before = await s.subjects()
      await s.page.route('**/jmap/api', async (r) => {
        const b = r.request().postDataJSON(), set = b.methodCalls.find((c) => c[0] === 'Email/set')
        if (!set) return r.continue().catch(() => {})
        await r.fulfill({ json: { methodResponses: [['Email/set', { accountId: set[1].accountId, oldState: '1', newState: '1', notUpdated: Object.fromEntries(Object.keys(set[1].update).map((k) => [k, { type: 'overQuota', description: 'no room' }])) }, set[2]]], sessionState: 'x' } })
      })
      await s.page.keyboard.press('e')
      await s.page.getByText('The server did not make this change').first().waitFor()
      await eventually(async () => JSON.stringify((await s.subjects()).slice(0, 5)) === JSON.stringify(before.slice(0, 5)), 'all rows are back')
    },
  },
  {
    id: '16', name: 'select all and move them: a job of the server, undone as a whole',
    async run(s, srv) {
      const other = await imap(srv)
      await other.run('CREATE Many')
      await other.many('Many', 8214, (i) => `From: a@elsewhere.example\r\nTo: ada@demo.test\r\nSubject: Number ${i}\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <n${i}@elsewhere.example>\r\n\r\nBody\r\n`)
      await s.signIn()
      const count = (n) => eventually(async () => (await s.page.locator('#list').getAttribute('aria-rowcount')) === String(n), `${n} rows`)
      await s.page.locator('nav.side a', { hasText: 'Many' }).click()
      await count(8214)
      await s.page.keyboard.press('Control+a')
      await s.page.getByRole('button', { name: 'Select all 8,214' }).click()
      await s.page.getByText('All 8,214 conversations are selected.').waitFor()
      await s.axe(s.page, 'all')
      await s.page.keyboard.press('v')
      await s.page.keyboard.type('Archi')
      await s.page.keyboard.press('Enter')
      await s.page.getByText('Moved 8,214 messages to Archive').first().waitFor()
      await count(0)
      assert(/\* STATUS "?Many"? \(MESSAGES 0\)/i.test(await other.run('STATUS Many (MESSAGES)')), 'the other program sees none')
      await s.page.locator('.toast').getByRole('button', { name: 'Undo' }).first().click()
      await count(8214)
      assert(/MESSAGES 8214\)/.test(await other.run('STATUS Many (MESSAGES)')), 'all are back')
      other.end()
    },
  },
  {
    id: '17', name: 'swipe both ways', stage: { phone: true },
    async run(s) {
      await s.signIn()
      const swipe = async (dx) => {
        const b = await s.page.locator('.row').nth(2).boundingBox(), cdp = await s.context.newCDPSession(s.page), y = b.y + b.height / 2
        let x = b.x + b.width / 2
        await cdp.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ x, y }] })
        for (let i = 0; i < 10; i++) { x += dx / 10; await cdp.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: [{ x, y }] }) }
        await cdp.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
      }
      await swipe(-160)
      await s.page.getByText(/Archived 1/).first().waitFor({ state: 'attached' })
      await eventually(async () => /Archived 1/.test(await s.page.getByRole('status').first().textContent()), 'screen readers are told')
      await s.shot('swiped')
      await s.page.getByRole('button', { name: 'Undo' }).first().click()
      await s.page.getByText(/Undone/).first().waitFor({ state: 'attached' })
      await swipe(160)
      await s.page.getByText(/Deleted 1/).first().waitFor({ state: 'attached' })
      // What a swipe does is one's own choice.
      await s.page.getByRole('navigation', { name: 'Areas' }).getByRole('button', { name: 'Settings' }).click()
      await s.page.getByLabel('Swipe to the right').selectOption('star')
      await s.page.keyboard.press('Escape')
      await s.page.getByRole('dialog').waitFor({ state: 'detached' })
      const third = (await s.subjects())[2]
      await swipe(160)
      await s.row(third).locator('.st').waitFor({ state: 'attached' })
    },
  },
  {
    id: '18', name: 'snooze: it leaves, other programs see it, undo brings it back',
    async run(s, srv) {
      await s.signIn()
      const [first] = await s.subjects()
      // left says that an answer tells of rows that left, and of none that came.
      const left = (r, text) => (r.postData() || '').includes('Email/queryChanges') && JSON.parse(text).methodResponses.some(([name, x]) => name === 'Email/queryChanges' && x.removed.length && !x.added.length)
      const synced = s.page.waitForResponse(async (r) => r.url().endsWith('/jmap/api') && left(r.request(), await r.text()))
      await s.page.keyboard.press('h')
      await s.page.getByRole('option', { name: /tomorrow/ }).click()
      await eventually(async () => !(await s.subjects()).includes(first), 'it left')
      await synced
      const other = await imap(srv)
      await eventually(async () => { await other.run('SELECT Snoozed'); return /\* 1 EXISTS/.test(await other.run('SELECT Snoozed')) }, 'the other program sees it in Snoozed')
      await s.page.keyboard.press('z')
      await eventually(async () => (await s.subjects()).includes(first), 'it is back')
      // What the server said of the list before the undo comes after it: the row that came back stays where it is.
      let release, reached
      const [open, told] = [new Promise((f) => (release = f)), new Promise((f) => (reached = f))]
      await s.page.route('**/jmap/api', async (r) => {
        if (!(r.request().postData() || '').includes('Email/queryChanges')) return r.fallback()
        const answer = await r.fetch(), text = await answer.text()
        if (left(r.request(), text)) { reached(); await open }
        await r.fulfill({ response: answer, body: text }).catch(() => {})
      })
      await s.page.keyboard.press('h')
      await s.page.getByRole('option', { name: /tomorrow/ }).click()
      await told
      const wrote = s.page.waitForResponse((r) => (r.request().postData() || '').includes('Email/set'))
      await s.page.keyboard.press('z')
      await eventually(async () => (await s.subjects())[0] === first, 'it is back at once')
      await s.page.evaluate((first) => {
        window.left = 0
        const list = document.querySelector('.row').parentElement
        new MutationObserver(() => { if (![...list.querySelectorAll('.row')].some((r) => r.textContent.includes(first))) window.left++ }).observe(list, { childList: true, subtree: true, characterData: true })
      }, first)
      release()
      await wrote
      await deliver(srv, mail({ headers: { Subject: 'After the undo' } }))
      await eventually(async () => { const l = await s.subjects(); return l[0] === 'After the undo' && l[1] === first }, 'what came later stands above it')
      assert((await s.page.evaluate(() => window.left)) === 0, 'it did not leave once more')
      await s.page.unroute('**/jmap/api')
      // One that was put off comes back by itself: on top, unread, and says why it is there.
      const late = (await s.subjects())[5]
      await s.openRow(late)
      await eventually(async () => !(await s.row(late).evaluate((r) => r.classList.contains('un'))), 'it is read')
      const [id, account] = [await s.page.locator('.rb:not(.off) article').last().getAttribute('data-id'), (await s.page.evaluate(() => JSON.parse(localStorage.getItem('session')))).account]
      await s.page.keyboard.press('Escape')
      const until = new Date(Date.now() + 3000).toISOString().replace(/\.\d+/, '')
      const r = await fetch(srv.url + '/jmap/api', { method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: 'Basic ' + Buffer.from('ada@demo.test:demo').toString('base64') }, body: JSON.stringify({ using: ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail', 'https://posthouse.email/jmap'], methodCalls: [['Email/set', { accountId: account, update: { [id]: { snoozed: { until } } } }, '0']] }) })
      const made = await r.text()
      assert(/"updated":\{/.test(made), made)
      await eventually(async () => (await s.subjects())[0] === late, 'it is back, on top')
      const row = s.row(late)
      await eventually(() => row.evaluate((r) => r.classList.contains('un')), 'unread')
      await row.click()
      await s.page.locator('.rb:not(.off) .note', { hasText: 'You put this off. It came' }).waitFor()
      await s.shot('back')
      await s.axe(s.page, 'back')
      await other.run('SELECT Snoozed')
      await eventually(async () => { await other.run('NOOP'); return !/\* SEARCH \d/.test(await other.run('SEARCH ALL')) }, 'Snoozed is empty')
      other.end()
    },
  },
  {
    id: '19', name: 'mute: answers arrive read in the archive; unmute brings the conversation back',
    async run(s, srv) {
      const id = '<muted-1@elsewhere.example>'
      await deliver(srv, mail({ headers: { Subject: 'A loud thread', 'Message-ID': id } }))
      await s.signIn()
      await eventually(async () => (await s.subjects()).includes('A loud thread'), 'it came')
      await s.row('A loud thread').click()
      await s.page.locator('.rb:not(.off) h1', { hasText: 'A loud thread' }).waitFor()
      const muted = s.page.waitForResponse((r) => r.url().endsWith('/jmap/api') && (r.request().postData() || '').includes('MutedThread/set'))
      await s.page.keyboard.press('m')
      await eventually(async () => !(await s.subjects()).includes('A loud thread'), 'it left')
      await muted
      await deliver(srv, mail({ headers: { Subject: 'Re: A loud thread', 'In-Reply-To': id, References: id } }))
      await deliver(srv, mail({ headers: { Subject: 'After the answer' } }))
      await eventually(async () => (await s.subjects()).includes('After the answer'), 'what came after the answer')
      assert(!(await s.subjects()).some((x) => x.includes('A loud thread')), 'the answer is not in the inbox')
      const other = await imap(srv)
      await other.run('SELECT Archive')
      await eventually(async () => { await other.run('NOOP'); return /\* SEARCH \d+\r/.test(await other.run('SEARCH SEEN SUBJECT "Re: A loud thread"')) }, 'it is in the archive, read')
      other.end()
      await s.page.keyboard.press('g'); await s.page.keyboard.press('a')
      await eventually(() => s.page.evaluate(() => document.title.includes('Archive')), 'the archive')
      await s.row('A loud thread').click()
      await s.page.locator('.rb:not(.off) h1', { hasText: 'A loud thread' }).waitFor()
      await s.shot('muted')
      await s.page.keyboard.press('m')
      await eventually(async () => !(await s.subjects()).some((x) => x.includes('A loud thread')), 'it left the archive')
      await s.page.keyboard.press('g'); await s.page.keyboard.press('i')
      await eventually(async () => (await s.subjects()).some((x) => x.includes('A loud thread')), 'it is back')
    },
  },
  {
    id: '20', name: 'move by dragging and by key',
    async run(s, srv) {
      await s.signIn()
      const [first, second] = await s.subjects()
      await s.row(first).dragTo(s.page.locator('nav.side a', { hasText: 'Archive' }))
      await eventually(async () => !(await s.subjects()).includes(first), 'it is dragged away')
      await s.row(second).click()
      await s.page.keyboard.press('v')
      await s.page.getByRole('dialog').waitFor()
      await s.axe(s.page, 'move')
      await s.page.keyboard.type('Archi')
      await s.page.keyboard.press('Enter')
      await eventually(async () => !(await s.subjects()).includes(second), 'it is moved away')
      const other = await imap(srv)
      await other.run('SELECT Archive')
      await eventually(async () => /\* SEARCH \d+/.test(await other.run(`SEARCH SUBJECT "${second.slice(0, 20)}"`)), 'the other program sees it there')
      other.end()
      // Out of the window it is a file: its name and where it comes from go with the pointer.
      const [third] = await s.subjects()
      const out = await s.row(third).evaluate((r) => { const d = new DataTransfer(); r.dispatchEvent(new DragEvent('dragstart', { dataTransfer: d, bubbles: true })); return d.getData('DownloadURL') })
      assert(/^message\/rfc822:[^:]+\.eml:http/.test(out), out)
      const text = await s.page.evaluate(async (u) => (await fetch(u)).text(), out.replace(/^[^:]+:[^:]+:/, ''))
      assert(text.includes('Subject:') && text.includes('Message-ID:'), text.slice(0, 300))
    },
  },
  {
    id: '21', name: 'another tab and another mail program see a star at once',
    async run(s, srv) {
      await s.signIn()
      const tab = await s.window()
      await tab.goto(srv.url + '/')
      await tab.locator('.row:not(.sk) .from').first().waitFor()
      const [first] = await s.subjects()
      await s.page.bringToFront()
      await s.page.keyboard.press('s')
      await s.row(first).locator('.st').waitFor({ state: 'attached' })
      await s.row(first, tab).locator('.st').waitFor({ state: 'attached' })
      const other = await imap(srv)
      await other.run('SELECT INBOX')
      const seq = (await eventually(async () => (await other.run('SEARCH FLAGGED')).match(/\* SEARCH.* (\d+)/), 'the other program sees it'))[1]
      await other.run(`STORE ${seq} -FLAGS (\\Flagged)`)
      await eventually(async () => (await s.row(first).locator('.st').count()) === 0, 'and takes it away')
      const list = await s.page.$$eval('.row', (l) => l.map((r) => r.id))
      equal(list.length, new Set(list).size, 'no row twice')
      other.end()
    },
  },
  {
    id: '21b', name: 'mailboxes of somebody else: one inbox of all, rights, moves between accounts', dark: true,
    async run(s, srv) {
      const ben = await imap(srv, 'ben@demo.test'), p = s.page
      for (const c of ['CREATE Board', 'SETACL INBOX ada@demo.test lrswite', 'SETACL Archive ada@demo.test lrswite', 'SETACL Trash ada@demo.test lrswite', 'SETACL Board ada@demo.test lr']) await ben.run(c)
      await ben.append('Board', mail({ headers: { Subject: 'Minutes of March' }, text: 'Only for reading.' }))
      await deliver(srv, mail({ headers: { Subject: 'Lift inspection', To: 'ben@demo.test' }, text: 'On Thursday.' }), 'ben@demo.test')
      await s.signIn()
      const side = p.getByRole('navigation', { name: 'Mailboxes' })
      await side.getByRole('heading', { name: 'ben@demo.test' }).waitFor()
      await side.getByRole('link', { name: /All inboxes/ }).click()
      await s.row('Lift inspection').waitFor()
      await eventually(async () => { const l = await s.subjects(); return l[0] === 'Lift inspection' && l.length > 5 }, 'of both, newest first')
      await s.shot('unified')
      await s.axe(p, 'unified')
      await p.evaluate(() => document.getElementById('list').scrollTo(0, 1e6))
      await eventually(async () => (await p.locator('.row.sk').count()) === 0 && (await p.locator('.row').count()) > 3, 'down to the end')
      await p.evaluate(() => document.getElementById('list').scrollTo(0, 0))
      await s.openRow('Lift inspection')
      equal((await (await s.body()).locator('body').textContent()).includes('On Thursday'), true, 'its text')
      // Archived where it is: in the account of Ben.
      await p.keyboard.press('e')
      await eventually(async () => !(await s.subjects()).includes('Lift inspection'), 'it leaves')
      const has = async (box, subject) => { await ben.run(`SELECT ${box}`); return /\* SEARCH \d/.test(await ben.run(`SEARCH SUBJECT "${subject}"`)) }
      await eventually(() => has('Archive', 'Lift inspection'), 'in his archive')
      await p.keyboard.press('z')
      await s.row('Lift inspection').waitFor()
      await eventually(() => has('INBOX', 'Lift inspection'), 'undone')
      // What comes to him is there by itself, and a reload keeps the place.
      await deliver(srv, mail({ headers: { Subject: 'Keys of the boathouse', To: 'ben@demo.test' } }), 'ben@demo.test')
      await s.row('Keys of the boathouse').waitFor()
      await p.reload()
      await s.row('Keys of the boathouse').waitFor()
      await eventually(() => p.evaluate(() => document.title.includes('All inboxes')), 'the address is the state')
      // Into a mailbox of one's own, and back.
      await s.openRow('Keys of the boathouse')
      await p.keyboard.press('v')
      await p.keyboard.type('Projects')
      await p.keyboard.press('Enter')
      await p.locator('.toast', { hasText: 'Moved 1 message to Projects' }).waitFor()
      await eventually(async () => (await has('Trash', 'Keys of the boathouse')) && !(await has('INBOX', 'Keys of the boathouse')), 'it is out of his inbox')
      const ada = await imap(srv), mine = async () => { await ada.run('SELECT Projects'); return /\* SEARCH \d/.test(await ada.run('SEARCH SUBJECT "Keys of the boathouse"')) }
      await eventually(mine, 'and in hers')
      await p.keyboard.press('z')
      await eventually(async () => (await has('INBOX', 'Keys of the boathouse')) && !(await mine()), 'and back')
      // What one may only read.
      await side.getByRole('link', { name: 'Board' }).click()
      await p.getByText('ben@demo.test shares this mailbox with you. You may only read it.').waitFor()
      await s.openRow('Minutes of March')
      equal(await p.locator('#reader .rt').getByRole('button', { name: 'Archive', exact: true }).count(), 0, 'archiving is not offered')
      await p.keyboard.press('e')
      await p.keyboard.press('#')
      equal(await s.subjects(), ['Minutes of March'], 'it stays')
      await s.shot('read only')
      await s.axe(p, 'read only')
      // A search is over all accounts.
      await p.keyboard.press('/')
      await p.keyboard.type('subject:Minutes')
      await p.keyboard.press('Enter')
      await eventually(() => p.evaluate(() => document.title.includes('Search')), 'a search')
      await s.row('Minutes of March').waitFor()
      // Ben takes it back.
      s.allowed.push(/404 .*\/r\/A\d+\/M\d+$/) // its text may just be fetched ahead
      await ben.run('DELETEACL Board ada@demo.test')
      await eventually(async () => { await p.evaluate(() => window.dispatchEvent(new Event('focus'))); return (await side.getByRole('link', { name: 'Board' }).count()) === 0 }, 'no longer shared')
      // All of it; then some of it again. The page is not loaded anew: each answer tells the state of the session.
      const heading = async (n) => { await p.evaluate(() => window.dispatchEvent(new Event('focus'))); return (await side.getByRole('heading', { name: 'ben@demo.test' }).count()) === n }
      for (const box of ['INBOX', 'Archive', 'Trash']) await ben.run(`DELETEACL ${box} ada@demo.test`)
      await eventually(() => heading(0), 'nothing is shared')
      await ben.run('SETACL Archive ada@demo.test lr')
      await eventually(() => heading(1), 'shared again')
      ada.end(); ben.end()
    },
  },
  {
    id: '22', name: 'new mail while far down: the list stays, a button says so',
    async run(s, srv) {
      await s.signIn()
      await s.page.locator('#list').evaluate((l) => (l.scrollTop = 1500))
      await eventually(async () => (await s.subjects()).length > 5 && !(await s.page.locator('.row.sk').count()), 'rows')
      const at = () => s.page.evaluate(() => { const l = document.getElementById('list').getBoundingClientRect(); return document.elementFromPoint(l.x + 120, l.y + 300)?.closest('.row')?.querySelector('.sub b')?.textContent })
      const before = await eventually(at, 'a row')
      await deliver(srv, mail({ headers: { Subject: 'While you were down' } }))
      const pill = s.page.getByRole('button', { name: '1 new' })
      await pill.waitFor()
      equal(await at(), before, 'the row under the eye')
      await s.shot('pill')
      await pill.click()
      await eventually(async () => (await s.subjects())[0] === 'While you were down', 'the top')
    },
  },
  {
    id: '23', name: 'write with keys, Markdown and a pasted image; undo; send', dark: true, submission: true,
    async run(s, srv) {
      await s.signIn()
      if (s.o.phone) await s.page.locator('.fab').click()
      else await s.page.keyboard.press('c')
      const to = s.page.locator('.cmp input[id^=to-]')
      await to.waitFor()
      await to.pressSequentially('ben')
      await s.page.getByRole('option', { name: /ben@demo\.test/ }).first().waitFor()
      await s.page.keyboard.press('Enter')
      await s.page.locator('.cmp .pill').waitFor()
      await s.page.locator('.cmp input[id^=subject-]').fill('Lunch with a picture')
      const f = await (await s.page.locator('.cmp iframe').elementHandle()).contentFrame()
      await f.locator('#ed').click()
      await f.locator('#ed').pressSequentially('This is **bold** text.')
      await f.evaluate(async () => {
        const b = await (await new Promise((r) => { const c = document.createElement('canvas'); c.width = 40; c.height = 30; c.getContext('2d').fillRect(0, 0, 40, 30); c.toBlob(r) })).arrayBuffer()
        const d = new DataTransfer()
        d.items.add(new File([b], 'square.png', { type: 'image/png' }))
        document.getElementById('ed').dispatchEvent(new ClipboardEvent('paste', { clipboardData: d, bubbles: true, cancelable: true }))
      })
      await f.locator('#ed img').waitFor()
      assert((await f.locator('#ed b').count()) === 1, 'bold by stars')
      await s.page.locator('.cmp header small', { hasText: 'Saved' }).first().waitFor()
      await s.shot('writing')
      await s.axe(s.page, 'compose')
      await f.locator('#ed').press('Control+Enter')
      await s.page.locator('.toast').getByRole('button', { name: 'Undo' }).first().click()
      await s.page.locator('.cmp .pill').waitFor()
      const again = await (await s.page.locator('.cmp iframe').elementHandle()).contentFrame()
      await again.locator('#ed img').waitFor()
      await again.locator('#ed').press('Control+Enter')
      await s.page.locator('.toast', { hasText: 'Sending' }).waitFor()
      const ben = await imap(srv, 'ben@demo.test')
      await ben.run('SELECT INBOX')
      await eventually(async () => { await ben.run('NOOP'); return /\* SEARCH \d+/.test(await ben.run('SEARCH SUBJECT "Lunch with a picture"')) }, 'Ben has it', 60_000)
      const n = (await ben.run('SEARCH SUBJECT "Lunch with a picture"')).match(/\* SEARCH (\d+)/)[1], structure = (await ben.run(`FETCH ${n} BODYSTRUCTURE`)).toLowerCase()
      assert(/"alternative"/.test(structure) && /"related"/.test(structure) && /"image" "png"/.test(structure), structure)
      ben.end()
    },
  },
  {
    id: '24', name: 'the tab is closed while sending: it is sent', submission: true,
    async run(s, srv) {
      await s.signIn()
      await s.page.keyboard.press('c')
      await s.page.locator('.cmp input[id^=to-]').fill('ben@demo.test')
      await s.page.locator('.cmp input[id^=subject-]').fill('Closed too soon')
      await s.page.locator('.cmp input[id^=subject-]').press('Control+Enter')
      await s.page.locator('.toast', { hasText: 'Sending' }).waitFor()
      await s.page.close()
      const ben = await imap(srv, 'ben@demo.test')
      await ben.run('SELECT INBOX')
      await eventually(async () => { await ben.run('NOOP'); return /\* SEARCH \d+/.test(await ben.run('SEARCH SUBJECT "Closed too soon"')) }, 'Ben has it', 60_000)
      ben.end()
      s.page = await s.window()
      await s.page.goto(srv.url + '/status')
    },
  },
  {
    id: '24b', name: 'the page is opened again while sending: it can still be taken back', submission: true,
    async run(s, srv) {
      await s.page.goto(srv.url + '/')
      await s.page.evaluate(() => localStorage.setItem('settings', JSON.stringify({ undoSeconds: 60 })))
      await s.signIn()
      await s.page.keyboard.press('c')
      await s.page.locator('.cmp input[id^=to-]').fill('ben@demo.test')
      await s.page.locator('.cmp input[id^=subject-]').fill('On second thought')
      await s.page.locator('.cmp input[id^=subject-]').press('Control+Enter')
      await s.page.locator('.toast', { hasText: 'Sending' }).waitFor()
      await s.page.close()
      s.page = await s.window()
      await s.page.goto(srv.url + '/')
      await s.page.locator('.toast', { hasText: 'Sending' }).getByRole('button', { name: 'Undo' }).click()
      await s.page.locator('.cmp .pill').waitFor()
      equal(await s.page.locator('.cmp input[id^=subject-]').inputValue(), 'On second thought', 'the same draft')
      const other = await imap(srv)
      await other.run('SELECT Drafts')
      await eventually(async () => { await other.run('NOOP'); return /\* SEARCH \d+\r/.test(await other.run('SEARCH SUBJECT "On second thought"')) }, 'it is a draft again')
      other.end()
    },
  },
  {
    id: '25', name: 'the server dies while one writes: nothing is lost', dark: true, keep: true, allow: [...offline, /EventSource|502|Failed to fetch/],
    async run(s, srv, keep) {
      await s.signIn()
      await s.page.keyboard.press('c')
      await s.page.locator('.cmp input[id^=to-]').fill('ben@demo.test')
      await s.page.locator('.cmp input[id^=subject-]').fill('Written through a crash')
      const f = await (await s.page.locator('.cmp iframe').elementHandle()).contentFrame()
      await f.locator('#ed').click()
      await f.locator('#ed').pressSequentially('Before. ')
      await s.page.locator('.cmp header small', { hasText: 'Saved' }).first().waitFor()
      await srv.stop('SIGKILL')
      const release = await hold(srv.base)
      await f.locator('#ed').pressSequentially('During.')
      await s.page.locator('.cmp header small', { hasText: 'Kept on this device' }).first().waitFor()
      await s.shot('kept')
      await release()
      srv.current = await demo(['--keep', keep, '--port-base', String(srv.base)])
      await s.page.locator('.cmp header small', { hasText: 'Saved' }).first().waitFor()
      const other = await imap(srv)
      await other.run('SELECT Drafts')
      await eventually(async () => { await other.run('NOOP'); return /\* SEARCH \d+/.test(await other.run('SEARCH BODY "During."')) }, 'all of it is a draft')
      other.end()
      await s.page.reload()
      await s.page.locator('.cmp').waitFor()
      const again = await (await s.page.locator('.cmp iframe').elementHandle()).contentFrame()
      await again.locator('#ed', { hasText: 'Before. During.' }).waitFor()
    },
  },
  {
    id: '25b', name: 'the session ends, the disk is full: said in words, nothing is lost', dark: true, allow: [...offline, /401|503/],
    async run(s, srv) {
      await s.signIn()
      await s.page.keyboard.press('c')
      await s.page.locator('.cmp input[id^=to-]').fill('ben@demo.test')
      await s.page.locator('.cmp input[id^=subject-]').fill('Written through trouble')
      const f = await (await s.page.locator('.cmp iframe').elementHandle()).contentFrame()
      await f.locator('#ed').click()
      await s.page.route('**/jmap/api', async (r) => {
        const b = r.request().postDataJSON()
        if (!b.methodCalls.some((c) => c[0] === 'Email/set')) return r.continue().catch(() => {})
        await r.fulfill({ json: { methodResponses: b.methodCalls.map((c) => ['error', { type: 'serverUnavailable', description: 'no space left on device' }, c[2]]), sessionState: 'x' } })
      })
      await f.locator('#ed').pressSequentially('One. ')
      await s.page.locator('.cmp').getByText('Not saved: the server has a problem just now').waitFor()
      await s.shot('full')
      await s.axe(s.page, 'not saved')
      await s.page.unrouteAll({ behavior: 'ignoreErrors' })
      await s.page.locator('.cmp header small', { hasText: 'Saved' }).waitFor()
      await s.context.clearCookies()
      await f.locator('#ed').pressSequentially('Two.')
      const dialog = s.page.getByRole('dialog', { name: 'Sign in again' })
      await dialog.waitFor()
      await s.shot('expired')
      await s.axe(s.page, 'expired')
      await dialog.getByLabel('Password').fill('demo')
      await dialog.getByRole('button', { name: 'Sign in' }).click()
      await s.page.locator('.cmp header small', { hasText: /^Saved$/ }).waitFor()
      const other = await imap(srv)
      await other.run('SELECT Drafts')
      await eventually(async () => { await other.run('NOOP'); return /\* SEARCH \d+\r/.test(await other.run('SEARCH BODY "One. Two."')) }, 'all of it is a draft')
      other.end()
    },
  },
  {
    id: '26', name: 'checks before sending, one at a time, in words',
    async run(s) {
      await s.signIn()
      // Who is in a field of the new window before it is ready is left there.
      await s.page.evaluate(() => new MutationObserver((_, o) => { const f = document.querySelector('.cmp input[id^=subject-]'); if (f) { o.disconnect(); f.focus() } }).observe(document.body, { childList: true, subtree: true }))
      await s.page.keyboard.press('c')
      await s.page.locator('.cmp iframe').waitFor()
      await s.page.evaluate(() => new Promise((f) => setTimeout(f, 200)))
      await s.page.keyboard.type('Mine')
      equal(await s.page.locator('.cmp input[id^=subject-]').inputValue(), 'Mine', 'what is typed is the subject')
      await s.page.locator('.cmp').getByRole('button', { name: 'Discard' }).click()
      await s.page.locator('.cmp').waitFor({ state: 'detached' })
      await s.page.keyboard.press('c')
      const subject = s.page.locator('.cmp input[id^=subject-]')
      await subject.fill('x')
      await subject.press('Control+Enter')
      await s.page.getByText('Say who it is for.').waitFor()
      await s.page.locator('.cmp input[id^=to-]').fill('grace@okafor.exmaple')
      await subject.click()
      await s.page.getByText('Did you mean').waitFor()
      await s.shot('typo')
      await s.page.locator('.cmp').getByRole('button', { name: 'grace@okafor.example' }).click()
      const f = await (await s.page.locator('.cmp iframe').elementHandle()).contentFrame()
      await f.locator('#ed').click()
      await f.locator('#ed').pressSequentially('The plan is attached.')
      await f.locator('#ed').press('Control+Enter')
      await s.page.getByText('You wrote of an attachment').waitFor()
      await s.axe(s.page, 'warning')
      await s.page.keyboard.press('Enter')
      await eventually(async () => (await s.page.getByText('You wrote of an attachment').count()) === 0, 'Enter goes on writing')
      assert((await s.page.locator('.cmp').count()) === 1, 'it is still open')
      // Many people: said once, with all else there is to say.
      const to = s.page.locator('.cmp input[id^=to-]')
      await to.fill(Array.from({ length: 20 }, (_, i) => `p${i}@okafor.example`).join(', '))
      await to.press('Enter')
      await eventually(async () => (await s.page.locator('.cmp .pill').count()) === 21, 'twenty-one people')
      await subject.press('Control+Enter')
      await s.page.getByText('This goes to 21 people.').waitFor()
      equal(await s.page.locator('[role=alertdialog]').count(), 1, 'one dialog')
      await s.shot('many')
    },
  },
  {
    id: '26b', name: 'the server knows who does not exist; a template; a signature',
    async run(s) {
      await s.signIn()
      await s.page.keyboard.press('Control+,')
      await s.page.getByLabel('Signature').fill('Ada of the demo')
      await s.page.getByLabel('Signature').press('Tab')
      await s.axe(s.page, 'settings')
      await s.page.keyboard.press('Escape')
      await s.page.keyboard.press('c')
      const to = s.page.locator('.cmp input[id^=to-]'), subject = s.page.locator('.cmp input[id^=subject-]')
      await subject.fill('Thanks')
      const frame = async () => (await s.page.locator('.cmp iframe').elementHandle()).contentFrame()
      let f = await frame()
      await f.locator('#ed', { hasText: 'Ada of the demo' }).waitFor()
      await f.locator('#ed').click()
      await f.locator('#ed').press('Control+Home')
      await f.locator('#ed').pressSequentially('Dear {name}, thank you.')
      await s.page.locator('.cmp').getByRole('button', { name: 'Templates' }).click()
      await s.page.getByRole('menuitem', { name: 'Save as a template' }).click()
      await s.page.getByLabel('Name of the template').press('Enter')
      await s.page.locator('.toast', { hasText: 'Template “Thanks” saved' }).waitFor()
      await to.fill('nobody@demo.test')
      await subject.click()
      await subject.press('Control+Enter')
      await s.page.getByText('nobody@demo.test: nobody here has this address.').waitFor()
      await s.shot('nobody')
      await s.axe(s.page, 'nobody')
      await s.page.keyboard.press('Enter')
      await s.page.locator('.cmp').getByRole('button', { name: 'Discard the draft' }).click()
      await eventually(async () => (await s.page.locator('.cmp').count()) === 0, 'closed')
      await s.page.keyboard.press('c')
      await to.fill('ben@demo.test')
      await to.press('Enter')
      await s.page.locator('.cmp .pill').waitFor()
      await s.page.locator('.cmp').getByRole('button', { name: 'Templates' }).click()
      await s.page.getByRole('menuitem', { name: 'Thanks', exact: true }).click()
      f = await frame()
      await f.locator('#ed', { hasText: /Dear Ben, thank you\./ }).waitFor()
      equal(await f.locator('#ed', { hasText: 'Ada of the demo' }).evaluate((e) => e.textContent.split('Ada of the demo').length), 2, 'one signature')
      equal(await subject.inputValue(), 'Thanks', 'the subject')
      await s.shot('template')
    },
  },
  {
    id: '27', name: 'schedule across a change of clocks; another time; taken back', dark: true,
    async run(s, srv) {
      // The first morning after the next change of clocks in Berlin.
      const offset = (d) => new Intl.DateTimeFormat('en', { timeZone: 'Europe/Berlin', timeZoneName: 'longOffset' }).formatToParts(d).find((p) => p.type === 'timeZoneName').value
      let day = new Date(Date.now() + 864e5)
      while (offset(day) === offset(new Date())) day = new Date(+day + 864e5)
      const ymd = new Intl.DateTimeFormat('sv-SE', { timeZone: 'Europe/Berlin' }).format(new Date(+day + 864e5)), hours = +offset(day).match(/\+0?(\d)/)[1]
      const want = (local) => new Date(`${local}:00Z`).getTime() - hours * 36e5
      const sendAt = () => s.page.evaluate(async () => {
        const account = JSON.parse(document.querySelector('meta[name=boot]').content).account || (await (await fetch('/jmap/session', { headers: { 'X-Posthouse-Client': '1' } })).json()).primaryAccounts['urn:ietf:params:jmap:mail']
        const r = await fetch('/jmap/api', { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Posthouse-Client': '1' }, body: JSON.stringify({ using: ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail', 'urn:ietf:params:jmap:submission'], methodCalls: [['EmailSubmission/query', { accountId: account, filter: { undoStatus: 'pending' } }, '0'], ['EmailSubmission/get', { accountId: account, '#ids': { resultOf: '0', name: 'EmailSubmission/query', path: '/ids' } }, '1']] }) })
        return (await r.json()).methodResponses[1][1].list.map((x) => +new Date(x.sendAt))
      })
      await s.signIn()
      const had = await sendAt()
      const mine = async () => (await sendAt()).filter((x) => !had.includes(x))
      await s.page.keyboard.press('c')
      await s.page.locator('.cmp input[id^=to-]').fill('ben@demo.test')
      await s.page.locator('.cmp input[id^=subject-]').fill('Good morning, later')
      await s.page.locator('.cmp').getByRole('button', { name: 'More ways to send' }).click()
      await s.axe(s.page, 'ways')
      await s.page.getByRole('menuitem', { name: 'Send later' }).click()
      const dialog = s.page.getByRole('dialog', { name: 'When should it go out?' })
      await dialog.locator('#when').fill(`${ymd}T08:00`)
      await s.shot('when')
      await s.axe(s.page, 'when')
      await dialog.getByRole('button', { name: 'Schedule' }).click()
      await s.page.locator('.toast', { hasText: 'Goes out' }).waitFor()
      await eventually(async () => JSON.stringify(await mine()) === JSON.stringify([want(`${ymd}T08:00`)]), 'eight in the morning of that zone')
      const other = await imap(srv)
      await other.run('SELECT Scheduled')
      await eventually(async () => { await other.run('NOOP'); return /\* SEARCH \d+/.test(await other.run('SEARCH SUBJECT "Good morning"')) }, 'other programs see it in Scheduled')
      await s.page.locator('nav.side a', { hasText: 'Scheduled' }).click()
      await s.openRow('Good morning, later')
      const note = s.page.locator('.rb:not(.off) .note', { hasText: 'Goes out' })
      await note.getByRole('button', { name: 'Change the time' }).click()
      await s.page.locator('#when').fill(`${ymd}T09:30`)
      await s.page.getByRole('dialog').getByRole('button', { name: 'Schedule' }).click()
      await eventually(async () => JSON.stringify(await mine()) === JSON.stringify([want(`${ymd}T09:30`)]), 'another time')
      await note.getByText('09:30').waitFor()
      await s.shot('scheduled')
      await s.axe(s.page, 'scheduled')
      await note.getByRole('button', { name: 'Cancel and edit' }).click()
      await s.page.locator('.cmp .pill').waitFor()
      await eventually(async () => (await mine()).length === 0, 'nothing waits')
      await other.run('SELECT Drafts')
      await eventually(async () => { await other.run('NOOP'); return /\* SEARCH \d+/.test(await other.run('SEARCH SUBJECT "Good morning"')) }, 'it is a draft again')
      other.end()
    },
  },
  {
    id: '28', name: 'files: too large is said before the upload; two at once, progress; without the line and with the tab closed none is lost', allow: offline,
    async run(s, srv) {
      await s.signIn()
      await s.page.keyboard.press('c')
      await s.page.locator('.cmp input[id^=to-]').waitFor()
      await eventually(() => s.requests.some((r) => r.url().endsWith('/jmap/session')), 'limits are known')
      await s.page.locator('.cmp input[id^=subject-]').fill('With files')
      await s.page.locator('.cmp header small', { hasText: 'Saved' }).first().waitFor()
      const choose = (files, page = s.page) => page.locator('.cmp input[type=file]').evaluate((el, files) => { // made in the page: it need not travel there
        const d = new DataTransfer()
        for (const [name, size] of files) { const b = new Uint8Array(size); for (let i = 0; i < size; i += 997) b[i] = i % 251; d.items.add(new File([b], name)) }
        el.files = d.files
        el.dispatchEvent(new Event('change', { bubbles: true }))
      }, files)
      const limit = await s.page.evaluate(async () => {
        const j = await (await fetch('/jmap/session', { headers: { 'X-Posthouse-Client': '1' } })).json(), a = Object.values(j.accounts)[0].accountCapabilities['urn:ietf:params:jmap:mail']
        return Math.min(j.capabilities['urn:ietf:params:jmap:core'].maxSizeUpload, a.maxSizeAttachmentsPerEmail)
      })
      await choose([['huge.bin', Math.ceil(limit / 1.37) + 1e6]])
      await s.page.getByText('huge.bin is too large').waitFor()
      assert(!s.requests.some((r) => r.url().includes('/upload/')), 'it was not sent')
      // Two at once: both are on their way before one of them is there.
      let gate, open = new Promise((r) => (gate = r)), pieces = 0
      await s.page.route('**/jmap/upload/**', async (r) => { pieces++; await open; await r.continue().catch(() => {}) })
      await choose([['file-1.bin', 10e6], ['file-2.bin', 10e6]])
      await eventually(async () => pieces === 2 && (await s.page.locator('.file progress').count()) === 2, 'both are on their way')
      await s.page.locator('.file', { hasText: /file-1\.bin.*%/ }).waitFor()
      await s.axe(s.page, 'uploads')
      await s.shot('progress')
      await s.page.locator('.cmp').getByRole('button', { name: 'Send', exact: true }).click()
      await s.page.locator('.cmp').getByText(/A file is still on its way|Say who/).waitFor()
      const shares = s.page.evaluate(() => new Promise((done) => {
        const seen = new Set(), look = () => { const l = [...document.querySelectorAll('.file progress')]; for (const p of l) if (p.value > 0 && p.value < 1) seen.add(p.value); l.length ? requestAnimationFrame(look) : done(seen.size) }
        look()
      }))
      gate()
      assert((await shares) >= 2, 'how far they are is shown')
      await eventually(async () => (await s.page.locator('.file').count()) === 2, 'both are there')
      equal(pieces, 6, 'each in three pieces')
      // The line goes after the first piece: the file waits, and goes on with the second.
      pieces = 0
      let second
      const away = new Promise((r) => (second = r))
      await s.page.unrouteAll({ behavior: 'ignoreErrors' })
      await s.page.route('**/jmap/upload/**', async (r) => { if (++pieces === 2) { second(); return } await r.continue().catch(() => {}) })
      await choose([['file-3.bin', 6e6]])
      await away
      await s.context.setOffline(true)
      await s.page.locator('.file', { hasText: /file-3\.bin.*Waits for the server/ }).waitFor()
      await s.shot('waits')
      await s.axe(s.page, 'an upload that waits')
      await s.context.setOffline(false)
      await eventually(async () => (await s.page.locator('.file', { hasText: 'file-3.bin' }).count()) === 1 && (await s.page.locator('.file progress').count()) === 0, 'it is there')
      equal(pieces, 3, 'the first piece went once')
      // What the server refuses says so, and goes again when one asks for it.
      await s.page.unrouteAll({ behavior: 'ignoreErrors' })
      await s.page.route('**/jmap/upload/**', (r) => r.fulfill({ status: 413, json: {} }))
      await choose([['file-5.bin', 1000]])
      await s.page.getByRole('alert').filter({ hasText: 'file-5.bin could not be uploaded: it is too large' }).waitFor()
      await s.axe(s.page, 'an upload that failed')
      await s.page.unrouteAll({ behavior: 'ignoreErrors' })
      await s.page.getByRole('button', { name: 'Upload file-5.bin again' }).click()
      await eventually(async () => (await s.page.locator('.file', { hasText: 'file-5.bin' }).count()) === 1 && (await s.page.locator('.file progress').count()) === 0, 'it went')
      await s.page.getByRole('button', { name: 'Remove file-5.bin' }).click()
      // The tab is closed while one waits: the next window goes on with it.
      await s.page.locator('.cmp header small', { hasText: 'Saved' }).first().waitFor()
      await s.context.setOffline(true)
      await choose([['file-4.bin', 1e6]])
      await s.page.locator('.file', { hasText: /file-4\.bin.*Waits for the server/ }).waitFor()
      await eventually(() => s.page.evaluate(async () => {
        const name = (await indexedDB.databases()).find((d) => d.name.startsWith('mail-files-'))?.name
        if (!name) return false
        const db = await new Promise((done, fail) => { const r = indexedDB.open(name); r.onsuccess = () => done(r.result); r.onerror = () => fail(r.error) })
        const n = await new Promise((done, fail) => { const r = db.transaction('files').objectStore('files').count(); r.onsuccess = () => done(r.result); r.onerror = () => fail(r.error) })
        db.close()
        return n === 1
      }), 'it is kept on this device, and what has arrived is not')
      await s.page.close()
      await s.context.setOffline(false)
      const next = (s.page = await s.window())
      await next.goto(srv.url + '/')
      await eventually(async () => (await next.locator('.cmp .file').count()) === 4 && (await next.locator('.file progress').count()) === 0, 'the next window has all four')
      await eventually(async () => {
        const [[, r]] = (await api(next, [['Email/query', { filter: { subject: 'With files' } }, 'q'], ['Email/get', { '#ids': { resultOf: 'q', name: 'Email/query', path: '/ids' }, properties: ['attachments'] }, 'g']])).slice(1)
        return r.list.length === 1 && JSON.stringify(r.list[0].attachments.map((a) => [a.name, a.size]).sort()) === JSON.stringify([['file-1.bin', 10e6], ['file-2.bin', 10e6], ['file-3.bin', 6e6], ['file-4.bin', 1e6]])
      }, 'the draft at the server has them, whole')
    },
  },
  {
    id: '29', name: 'answered from the address it came to; the signature goes with it; plain text is format=flowed; a selection is quoted', submission: true,
    async run(s, srv) {
      await s.page.goto(srv.url + '/')
      await s.page.evaluate(() => localStorage.setItem('settings', JSON.stringify({ plain: true })))
      await s.signIn()
      await s.page.keyboard.press('c')
      await s.page.locator('.cmp input[id^=to-]').fill('ben@demo.test')
      await s.page.locator('.cmp input[id^=subject-]').fill('In plain text')
      await s.page.locator('.cmp textarea').fill('A line that is long enough to be cut somewhere because it has more than seventy-eight letters in it.\nShort.')
      await s.page.locator('.cmp header small', { hasText: 'Saved' }).first().waitFor()
      const other = await imap(srv)
      await other.run('SELECT Drafts')
      const n = (await eventually(async () => { await other.run('NOOP'); return (await other.run('SEARCH SUBJECT "In plain text"')).match(/\* SEARCH (\d+)/) }, 'the draft'))[1]
      const text = await other.run(`FETCH ${n} BODY.PEEK[]`)
      assert(/format="?flowed/i.test(text) && / \r\n/.test(text), text)
      other.end()
      await s.page.getByRole('button', { name: 'Save and close' }).click()
      await s.openRow('Offsite in Porto')
      const f = await s.body()
      const word = await f.evaluate(() => { const n = document.createTreeWalker(document.querySelector('.ph-text'), NodeFilter.SHOW_TEXT).nextNode(), r = new Range(); r.selectNodeContents(n); getSelection().removeAllRanges(); getSelection().addRange(r); return n.data })
      await eventually(() => f.evaluate(() => String(getSelection()).length > 0), 'selected')
      await f.locator('body').press('r')
      await s.page.locator('.cmp').waitFor()
      const e = await (await s.page.locator('.cmp iframe').elementHandle()).contentFrame()
      await e.locator('blockquote', { hasText: word.slice(0, 20) }).waitFor()
      await s.page.locator('.cmp').getByRole('button', { name: 'Discard the draft' }).click()
      await s.page.locator('.cmp').waitFor({ state: 'detached' })
      // Two addresses, each with a signature of its own.
      await s.page.keyboard.press('Control+,')
      await s.page.getByLabel('Another address to send as').fill('ada+work@demo.test')
      await s.page.getByLabel('Another address to send as').press('Enter')
      await s.page.getByLabel('Signature for ada+work@demo.test').waitFor()
      for (const [address, words] of [['ada@demo.test', 'Ada, at home'], ['ada+work@demo.test', 'Ada, at work']]) {
        const saved = s.page.waitForResponse((r) => r.url().endsWith('/jmap/api') && (r.request().postData() || '').includes('Identity/set'))
        await s.page.getByLabel(`Signature for ${address}`, { exact: true }).fill(words)
        await s.page.getByLabel(`Signature for ${address}`, { exact: true }).press('Tab')
        await saved
      }
      await s.shot('addresses')
      await s.axe(s.page, 'addresses')
      await s.page.keyboard.press('Escape')
      await s.page.getByRole('dialog').waitFor({ state: 'detached' })
      await s.page.keyboard.press('c')
      const area = s.page.locator('.cmp textarea'), sender = s.page.locator('.cmp select[id^=from-]')
      await eventually(async () => (await area.inputValue()).endsWith('-- \nAda, at home'), 'the usual signature')
      await sender.selectOption({ label: 'Ada Lovelace <ada+work@demo.test>' })
      await eventually(async () => { const v = await area.inputValue(); return v.endsWith('-- \nAda, at work') && !v.includes('at home') }, 'the signature of the other address')
      await sender.selectOption({ label: 'Ada Lovelace <ada@demo.test>' })
      await eventually(async () => { const v = await area.inputValue(); return v.endsWith('-- \nAda, at home') && !v.includes('at work') }, 'and back')
      await s.page.locator('.cmp').getByRole('button', { name: 'Discard the draft' }).click()
      await s.page.locator('.cmp').waitFor({ state: 'detached' })
      // What came to the other address is answered from it.
      await deliver(srv, mail({ headers: { From: 'Ben <ben@demo.test>', To: 'ada+work@demo.test', Subject: 'For the one at work' } }), 'ada+work@demo.test', 'ben@demo.test')
      await eventually(async () => (await s.subjects()).includes('For the one at work'), 'it came')
      await s.openRow('For the one at work')
      await s.body()
      await s.page.keyboard.press('r')
      const ed = await (await s.page.locator('.cmp iframe').elementHandle()).contentFrame()
      await ed.locator('#ed', { hasText: 'Ada, at work' }).waitFor()
      equal(await sender.evaluate((x) => x.selectedOptions[0].textContent), 'Ada Lovelace <ada+work@demo.test>', 'the sender')
      await sender.selectOption({ label: 'Ada Lovelace <ada@demo.test>' })
      await ed.locator('#ed', { hasText: 'Ada, at home' }).waitFor()
      assert(!(await ed.locator('#ed').textContent()).includes('at work'), 'one signature')
      await sender.selectOption({ label: 'Ada Lovelace <ada+work@demo.test>' })
      await ed.locator('#ed', { hasText: 'Ada, at work' }).waitFor()
      await s.page.locator('.cmp').getByRole('button', { name: 'Send', exact: true }).click()
      await s.page.locator('.toast', { hasText: 'Sending' }).getByRole('button', { name: 'Send now' }).click()
      const ben = await imap(srv, 'ben@demo.test')
      await ben.run('SELECT INBOX')
      const m = (await eventually(async () => { await ben.run('NOOP'); return (await ben.run('SEARCH SUBJECT "Re: For the one at work"')).match(/\* SEARCH (\d+)/) }, 'Ben has the answer'))[1]
      const whole = await ben.run(`FETCH ${m} BODY.PEEK[]`)
      assert(/^From: .*<ada\+work@demo\.test>/m.test(whole) && whole.includes('Ada, at work') && !whole.includes('at home'), whole.slice(0, 2000))
      ben.end()
    },
  },
  {
    id: '29b', name: 'addresses to send as: one that is not yours is refused in words; one that is, is added, removed, and both undone', dark: true, phone: true, allow: offline,
    async run(s) {
      await s.signIn()
      const settings = async () => { if (s.o.phone) await s.page.getByRole('navigation', { name: 'Areas' }).getByRole('button', { name: 'Settings' }).click(); else await s.page.keyboard.press('Control+,'); await s.page.getByLabel('Another address to send as').waitFor() }
      const known = async () => (await api(s.page, [['Identity/get', { ids: null }, 'i']]))[0][1].list.map((i) => i.email).sort()
      const field = s.page.getByLabel('Another address to send as')
      await settings()
      await field.fill('ben@demo.test')
      await field.press('Enter')
      await s.page.locator('.toast.bad', { hasText: 'you may not send from this address' }).waitFor()
      equal(await known(), ['ada@demo.test'], 'only what one may')
      await field.fill('ada+news@demo.test')
      await field.press('Enter')
      await s.page.getByLabel('Name for ada+news@demo.test').waitFor()
      equal(await known(), ['ada+news@demo.test', 'ada@demo.test'], 'it is there')
      await s.shot('added')
      await s.axe(s.page, 'addresses')
      await s.page.getByRole('button', { name: 'Remove the address ada+news@demo.test' }).click()
      await eventually(async () => (await known()).length === 1, 'it is gone')
      await s.page.getByLabel('Name for ada+news@demo.test').waitFor({ state: 'detached' })
      await s.page.keyboard.press('Escape')
      await s.page.getByRole('dialog').waitFor({ state: 'detached' })
      await s.page.keyboard.press('z')
      await eventually(async () => (await known()).length === 2, 'it is back')
      await s.page.keyboard.press('z')
      await eventually(async () => (await known()).length === 1, 'as it was before it was added')
      await settings()
      equal(await s.page.getByLabel('Name for ada+news@demo.test').count(), 0, 'and so say the settings')
    },
  },
  {
    id: '30', name: 'one draft in two tabs: said in words, both texts kept', dark: true,
    async run(s, srv) {
      await s.signIn()
      await s.page.keyboard.press('c')
      await s.page.locator('.cmp input[id^=to-]').fill('ben@demo.test')
      await s.page.locator('.cmp input[id^=subject-]').fill('Written twice')
      const typed = async (page, text) => { const f = await (await page.locator('.cmp iframe').elementHandle()).contentFrame(); await f.locator('#ed').click(); await f.locator('#ed').press('Control+End'); await f.locator('#ed').pressSequentially(text) }
      const saved = (page) => page.locator('.cmp header small', { hasText: /^Saved$/ }).waitFor()
      await typed(s.page, 'Begun here.')
      await saved(s.page)
      const tab = await s.window()
      await tab.goto(srv.url + '/')
      await tab.locator('.row:not(.sk) .from').first().waitFor()
      assert((await tab.locator('.cmp').count()) === 0, 'the other tab does not open it by itself')
      await tab.locator('nav.side a', { hasText: 'Drafts' }).click()
      await s.row('Written twice', tab).click()
      const there = await (await tab.locator('.cmp iframe').elementHandle()).contentFrame()
      await there.locator('#ed', { hasText: 'Begun here.' }).waitFor()
      await typed(tab, ' Second.')
      await saved(tab)
      // The first tab, which wrote nothing since, is told, and may have either.
      await s.page.bringToFront()
      await s.page.locator('.cmp').getByText('This draft was changed in another window.', { exact: true }).waitFor()
      await s.shot('told')
      await s.axe(s.page, 'conflict')
      // It writes on without an answer: both are kept.
      await typed(s.page, ' First.')
      await s.page.locator('.cmp').getByText('Both are kept').waitFor()
      await saved(s.page)
      const other = await imap(srv)
      await other.run('SELECT Drafts')
      for (const text of ['Begun here. Second.', 'Begun here. First.']) await eventually(async () => { await other.run('NOOP'); return /\* SEARCH \d+\r/.test(await other.run(`SEARCH SUBJECT "Written twice" BODY "${text}"`)) }, `one draft says “${text}”`)
      other.end()
      await s.page.locator('.cmp').getByRole('button', { name: 'Show the other one' }).click()
      await eventually(async () => (await s.page.locator('.cmp').count()) === 2, 'both are open')
    },
  },
  {
    id: '30b', name: 'in the name of a shared account: its draft, its Sent, later, taken back, answered', dark: true, keep: true,
    async run(s, srv, dir) {
      const ben = await imap(srv, 'ben@demo.test'), p = s.page
      for (const box of ['INBOX', 'Drafts', 'Sent']) await ben.run(`SETACL ${box} ada@demo.test lrswipte`)
      const { status, stderr } = spawnSync(process.env.POSTHOUSE, ['--data', dir, 'sender', 'add', 'ben@demo.test', 'ada@demo.test'], { encoding: 'utf8', timeout: 30_000 })
      equal(status, 0, stderr)
      await deliver(srv, mail({ headers: { Subject: 'Question to the office', To: 'ben@demo.test' }, text: 'When do you open?' }), 'ben@demo.test')
      await s.signIn()
      await p.getByRole('navigation', { name: 'Mailboxes' }).getByRole('heading', { name: 'ben@demo.test' }).waitFor()
      const has = async (who, box, subject) => { await who.run(`SELECT ${box}`); return /\* SEARCH \d/.test(await who.run(`SEARCH SUBJECT "${subject}"`)) }
      const ada = await imap(srv)
      await p.keyboard.press('c')
      const cmp = p.locator('.cmp')
      await cmp.locator('input[type=file]').setInputFiles({ name: 'hours.txt', mimeType: 'text/plain', buffer: Buffer.from('from nine to five') })
      await cmp.locator('.file', { hasText: 'hours.txt' }).waitFor()
      await cmp.locator('input[id^=subject-]').fill('Opening hours')
      await eventually(() => has(ada, 'Drafts', 'Opening hours'), 'a draft of one\'s own first')
      // Another sender: draft and file go over to that account.
      await cmp.getByLabel('From').selectOption({ label: await cmp.getByLabel('From').locator('option', { hasText: 'ben@demo.test' }).textContent() })
      await cmp.locator('input[id^=to-]').fill('ada@demo.test')
      await eventually(async () => (await has(ben, 'Drafts', 'Opening hours')) && !(await has(ada, 'Drafts', 'Opening hours')), 'the draft is in that account, and only there')
      await s.shot('as another')
      await s.axe(p, 'as another')
      await cmp.getByRole('button', { name: 'Send', exact: true }).click()
      const sending = p.locator('.toast', { hasText: 'Sending' })
      await sending.getByRole('button', { name: 'Undo' }).click()
      await cmp.locator('.file', { hasText: 'hours.txt' }).waitFor()
      equal(await cmp.getByLabel('From').locator('option:checked').textContent().then((x) => x.includes('ben@demo.test')), true, 'the same draft, in the same name')
      await eventually(() => has(ben, 'Drafts', 'Opening hours'), 'a draft again')
      await cmp.getByRole('button', { name: 'Send', exact: true }).click()
      await sending.getByRole('button', { name: 'Send now' }).click()
      await eventually(async () => (await has(ben, 'Sent', 'Opening hours')) && !(await has(ben, 'Drafts', 'Opening hours')), 'in his Sent')
      equal(await has(ada, 'Sent', 'Opening hours'), false, 'and not in hers')
      await eventually(() => has(ada, 'INBOX', 'Opening hours'), 'it arrives')
      await ada.run('SELECT INBOX')
      const [, n] = (await ada.run('SEARCH SUBJECT "Opening hours"')).match(/SEARCH (\d+)/), text = await ada.run(`FETCH ${n} BODY.PEEK[]`)
      assert(/^From: .*ben@demo\.test/im.test(text) && text.includes('hours.txt'), 'from him, with the file')
      // An answer to what came there is in that name by itself; it waits with the drafts, as there is no Scheduled to put it in.
      await p.getByRole('navigation', { name: 'Mailboxes' }).getByRole('link', { name: /^Inbox/ }).nth(1).click()
      await s.openRow('Question to the office')
      await p.keyboard.press('r')
      await eventually(async () => (await cmp.getByLabel('From').locator('option:checked').textContent()).includes('ben@demo.test'), 'answered in that name')
      await cmp.getByRole('button', { name: 'More ways to send' }).click()
      await p.getByRole('menuitem', { name: 'Send later' }).click()
      const day = new Intl.DateTimeFormat('sv-SE', { timeZone: 'Europe/Berlin' }).format(new Date(Date.now() + 3 * 864e5))
      await p.locator('#when').fill(`${day}T08:00`)
      await p.getByRole('dialog', { name: 'When should it go out?' }).getByRole('button', { name: 'Schedule' }).click()
      await p.locator('.toast', { hasText: 'Goes out' }).getByRole('button', { name: 'Show' }).click()
      await s.openRow('Question to the office')
      const note = p.locator('.rb:not(.off) .note', { hasText: 'Goes out' })
      await s.shot('waits')
      await note.getByRole('button', { name: 'Cancel and edit' }).click()
      await cmp.locator('.pill').waitFor()
      equal((await cmp.getByLabel('From').locator('option:checked').textContent()).includes('ben@demo.test'), true, 'edited in that name')
      await note.waitFor({ state: 'detached' })
      ada.end(); ben.end()
    },
  },
  {
    id: '31', name: 'search with operators and completion, from history and contacts', phone: true,
    async run(s, srv) {
      const r = await fetch(srv.url + '/jmap/api', { method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: 'Basic ' + Buffer.from('ada@demo.test:demo').toString('base64') },
        body: JSON.stringify({ using: ['urn:ietf:params:jmap:core', 'https://posthouse.email/jmap'], methodCalls: [['ContactCard/set', { accountId: 'A1', create: { z: { name: { full: 'Zoltan Quarry' }, emails: { a: { address: 'zoltan@quarry.example' } } } } }, '1']] }) })
      const made = await r.text()
      assert(/"created":\{"z"/.test(made), made)
      await s.signIn()
      if (s.o.phone) await s.page.locator('.top').getByRole('button', { name: 'Search' }).click()
      else await s.page.keyboard.press('/')
      await s.page.keyboard.type('from:zolt')
      await s.page.getByRole('option', { name: /from:zoltan@quarry/ }).first().waitFor()
      await s.page.locator('#search').fill('')
      await s.page.keyboard.type('from:grac')
      await s.page.getByRole('option', { name: /from:grace@/ }).first().waitFor()
      await s.shot('suggestions')
      await s.page.keyboard.press('Tab')
      await s.page.keyboard.type('is:unread')
      await s.page.keyboard.press('Enter')
      await eventually(async () => (await s.subjects()).length > 0 && (await s.page.$$eval('.row:not(.sk) .from', (l) => l.every((x) => /Grace/.test(x.textContent)))), 'only her mail')
      await s.page.reload()
      await eventually(async () => (await s.subjects()).length > 0, 'the address is the state')
      await s.axe(s.page, 'search')
      // Narrowed down by a facet: as many are left as it said, and all are back when it is taken out.
      const counted = async () => +(await s.page.locator('#list').getAttribute('aria-rowcount')), wide = await counted()
      const narrow = s.page.getByRole('group', { name: 'Narrow down' }), chip = narrow.locator('.chip:not(.on)').first()
      await chip.waitFor()
      const left = +(await chip.locator('small').textContent()), term = await chip.getAttribute('title')
      assert(left > 0 && left < wide, `${term} leaves ${left} of ${wide}`)
      await s.axe(s.page, 'facets')
      await s.shot('facets')
      await chip.click()
      await eventually(async () => (await counted()) === left, `${term} leaves ${left}`)
      await narrow.getByRole('button', { name: `Take out ${term}` }).click()
      await eventually(async () => (await counted()) === wide, 'all are back')
      // Kept as a view: under its name, also after a reload, until it is removed and brought back.
      await s.page.getByRole('button', { name: 'Keep as a view' }).click()
      await s.page.getByRole('dialog').getByLabel('Name').fill('Unread of Grace')
      await s.axe(s.page, 'keep a view')
      await s.page.keyboard.press('Enter')
      await s.page.getByRole('button', { name: 'Remove the view' }).waitFor()
      if (s.o.phone) return
      await s.page.keyboard.press('g'); await s.page.keyboard.press('i')
      await eventually(() => s.page.evaluate(() => document.title.includes('Inbox')), 'in the inbox')
      const view = s.page.getByRole('navigation', { name: 'Mailboxes' }).getByRole('link', { name: 'Unread of Grace' })
      await view.click()
      await eventually(() => s.page.evaluate(() => document.title.includes('Unread of Grace')), 'the view')
      const before = (await s.subjects()).length
      await deliver(srv, mail({ headers: { From: 'Grace Okafor <grace@okafor.example>', Subject: 'For the view' } }))
      await s.row('For the view').waitFor()
      assert((await s.subjects()).length > before || before > 10, 'it is live')
      await s.shot('view')
      await s.page.getByRole('button', { name: 'Remove the view' }).click()
      await eventually(async () => (await view.count()) === 0, 'removed')
      await s.page.locator('#list').focus()
      await s.page.keyboard.press('z')
      await view.waitFor()
    },
  },
  {
    id: '31b', name: 'contacts: write one, groups, a file, history, twice there, all undone', dark: true, phone: true,
    async run(s) {
      await s.signIn()
      const { phone } = s.o, p = s.page, open = async () => (phone ? p.getByRole('navigation', { name: 'Areas' }).getByRole('button', { name: 'Contacts' }).click() : (await p.keyboard.press('g'), await p.keyboard.press('c')))
      const names = () => p.$$eval('.ct b', (l) => l.map((b) => ({ y: b.parentElement.getBoundingClientRect().y, t: b.textContent })).sort((a, b) => a.y - b.y).map((x) => x.t))
      const undo = async () => { await p.evaluate(() => document.activeElement?.blur()); await p.keyboard.press('z') }, back = async () => { if (phone) await p.getByRole('button', { name: 'Back to the contacts' }).click() }
      await open()
      await p.getByText('No contacts yet.').waitFor()
      await s.axe(p, 'no contacts')
      await p.getByRole('button', { name: 'New contact' }).first().click()
      const form = p.getByRole('form', { name: 'New contact' })
      await form.getByLabel('First name').fill('Grace')
      await form.getByLabel('Last name').fill('Okafor')
      await form.getByLabel('Company').fill('Accounts')
      await form.getByLabel('Address', { exact: true }).first().fill('grace@okafor.example')
      await form.getByRole('button', { name: 'Another address' }).click()
      await form.getByLabel('Address', { exact: true }).last().fill('grace@home.example')
      await form.getByLabel('Number', { exact: true }).fill('+44 20 7946 0321')
      await form.getByRole('button', { name: 'Add an address' }).click()
      await form.getByRole('textbox', { name: 'Postal address' }).fill('12 Quay Street\nGalway')
      await form.getByLabel('Birthday').fill('1984-02-29')
      await form.getByLabel('Notes').fill('Knows the harbour master.')
      await s.shot('form')
      await s.axe(p, 'contact form')
      await form.getByRole('button', { name: 'Save' }).click()
      const card = p.getByRole('main', { name: 'Contact' })
      await card.getByRole('heading', { name: 'Grace Okafor' }).waitFor()
      for (const text of ['grace@home.example', '+44 20 7946 0321', '12 Quay Street', '29 February 1984', 'harbour master']) await card.getByText(text).first().waitFor()
      await card.getByText(/Last heard:|You did not write/).waitFor()
      await s.shot('card')
      await s.axe(p, 'contact')
      // A file of another program: names, a group, one who is there already.
      await back()
      const vcf = ['Ada Byron;ada@engine.example', 'Émile Zola;emile@plume.example', 'Žofie Nováková;zofie@vltava.example', 'محمود درويش;mahmoud@shaer.example', '夏目 漱石;soseki@neko.example', 'Grace O. Okafor;grace@okafor.example', 'Ben Quay;ben@demo.test']
        .map((x, i) => `BEGIN:VCARD\r\nVERSION:4.0\r\nUID:urn:test:${i}\r\nFN:${x.split(';')[0]}\r\nEMAIL;TYPE=work:${x.split(';')[1]}\r\nEND:VCARD\r\n`).join('') + 'BEGIN:VCARD\r\nVERSION:4.0\r\nKIND:group\r\nUID:urn:test:g\r\nFN:Writers\r\nMEMBER:urn:test:1\r\nMEMBER:urn:test:4\r\nEND:VCARD\r\n'
      await p.locator('#contact-file').setInputFiles({ name: 'people.vcf', mimeType: 'text/vcard', buffer: Buffer.from(vcf) })
      await p.locator('.toast', { hasText: 'Brought in 8 contacts' }).waitFor()
      await eventually(async () => (await names()).length === 8, 'eight people')
      equal((await names()).slice(0, 4), ['Ada Byron', 'Ben Quay', 'Émile Zola', 'Grace O. Okafor'], 'in order')
      await s.shot('list')
      await s.axe(p, 'contacts')
      await undo()
      await eventually(async () => (await names()).length === 1, 'the file is taken back')
      await p.locator('#contact-file').setInputFiles({ name: 'people.vcf', mimeType: 'text/vcard', buffer: Buffer.from(vcf) })
      await eventually(async () => (await names()).length === 8, 'and brought in again')
      // And out again, as a file for another program.
      await p.getByRole('button', { name: 'More actions' }).click()
      const [file] = await Promise.all([p.waitForEvent('download'), p.getByRole('menuitem', { name: 'Export contacts' }).click()])
      const out = readFileSync(await file.path(), 'utf8')
      assert(out.split('BEGIN:VCARD').length === 10 && /Knows the harbour master/.test(out) && /Žofie/.test(out), 'nine cards in the file: ' + out.slice(0, 400))
      // Two of one person.
      await p.getByRole('button', { name: 'Look', exact: true }).click()
      await s.axe(p, 'twice')
      await p.getByRole('dialog').getByRole('button', { name: 'Merge' }).click()
      await eventually(async () => (await names()).length === 7, 'one of two')
      await p.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
      // Search finds what stands in a note, too.
      await p.getByLabel('Search contacts').fill('harbour')
      await eventually(async () => (await names()).join() === 'Grace O. Okafor' || (await names()).join() === 'Grace Okafor', 'found by a note')
      await p.getByLabel('Search contacts').fill('')
      // A group: its members, one more, and a message to all of them.
      await p.getByRole('button', { name: 'Writers' }).click()
      await eventually(async () => (await names()).length === 2, 'members')
      await p.getByRole('group', { name: 'Groups' }).getByRole('button', { name: 'All' }).click()
      if (phone) {
        await p.locator('.ct', { hasText: 'Ben Quay' }).locator('.av').click()
        await p.getByRole('button', { name: 'Groups…' }).click()
        await p.getByRole('menuitem', { name: 'Writers' }).click()
      } else await p.locator('.ct', { hasText: 'Ben Quay' }).dragTo(p.getByRole('button', { name: 'Writers' }))
      await p.locator('.toast', { hasText: 'Added to Writers' }).waitFor()
      if (phone) await p.getByRole('button', { name: 'Select none' }).click()
      await p.getByRole('button', { name: 'Writers', exact: true }).click()
      await eventually(async () => (await names()).length === 3, 'one more member')
      await p.getByRole('button', { name: 'Write to all' }).click()
      await eventually(async () => (await p.locator('.cmp .pill').count()) === 3, 'three are written to')
      await p.locator('.cmp').getByRole('button', { name: 'Discard the draft' }).click()
      await eventually(async () => (await p.locator('.cmp').count()) === 0, 'closed')
      await p.getByRole('group', { name: 'Groups' }).getByRole('button', { name: 'All' }).click()
      // Deleted, and brought back.
      await p.locator('.ct', { hasText: 'Ada Byron' }).click()
      await card.getByRole('heading', { name: 'Ada Byron' }).waitFor()
      await card.getByRole('button', { name: 'Delete the contact' }).click()
      await p.locator('.toast', { hasText: 'Deleted 1 contact' }).waitFor()
      await back()
      await eventually(async () => !(await names()).includes('Ada Byron'), 'gone')
      await undo()
      await eventually(async () => (await names()).includes('Ada Byron'), 'back')
      await eventually(() => p.evaluate(async () => { const r = await (await fetch('/jmap/api', { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Posthouse-Client': '1' }, body: JSON.stringify({ using: ['urn:ietf:params:jmap:core', 'https://posthouse.email/jmap'], methodCalls: [['ContactCard/query', { accountId: 'A1', filter: { text: 'Ada Byron' } }, '0']] }) })).json(); return r.methodResponses[0][1].ids.length === 1 }), 'at the server, once')
      if (phone) return
      // From a message to its sender, and by keys alone.
      await p.keyboard.press('g'); await p.keyboard.press('i')
      await s.openRow('Sourdough, slowly')
      await p.keyboard.press('Control+k')
      await p.keyboard.type('Sender in')
      await p.keyboard.press('Enter')
      const fresh = p.getByRole('form', { name: 'New contact' })
      assert(await fresh.getByLabel('Address', { exact: true }).first().inputValue(), 'the sender stands there')
      await p.keyboard.press('Control+Enter')
      await p.locator('.toast', { hasText: 'added to contacts' }).waitFor()
      await p.keyboard.press('j')
      await p.keyboard.press('e')
      await p.getByRole('form', { name: 'Edit the contact' }).waitFor()
      await p.keyboard.press('Escape')
      await p.keyboard.press('m')
      await eventually(() => p.evaluate(() => document.title.includes('Search')), 'mail with this person')
    },
  },
  {
    id: '31c', name: 'a file of contacts, while an answer of before is under way',
    async run(s) {
      await s.signIn()
      const p = s.page, there = await p.context().newPage()
      await there.goto(p.url())
      await there.locator('#list').waitFor()
      for (const w of [p, there]) { await w.keyboard.press('g'); await w.keyboard.press('c'); await w.getByText('No contacts yet.').waitFor() }
      // The upload waits until the book is asked for because of the other window; that answer, until the file is in.
      const gate = () => { let open; return { is: new Promise((f) => (open = f)), open } }, uploading = gate(), asked = gate(), imported = gate()
      await p.route('**/jmap/upload/**', async (r) => { uploading.open(); await asked.is; await r.continue() })
      let holds = false
      await p.route('**/jmap/api', async (r) => {
        const body = r.request().postData() || '', answer = await r.fetch()
        if (/ContactCard\/import/.test(body)) imported.open()
        if (holds && /ContactCard\/changes/.test(body)) { holds = false; asked.open(); await imported.is }
        await r.fulfill({ response: answer }).catch(() => {})
      })
      const vcf = ['Émile Zola', 'Žofie Nováková'].map((n, i) => `BEGIN:VCARD\r\nVERSION:4.0\r\nUID:urn:test:${i}\r\nFN:${n}\r\nEND:VCARD\r\n`).join('')
      await p.locator('#contact-file').setInputFiles({ name: 'people.vcf', mimeType: 'text/vcard', buffer: Buffer.from(vcf) })
      await uploading.is
      holds = true
      await there.getByRole('button', { name: 'New contact' }).first().click()
      await there.getByRole('form', { name: 'New contact' }).getByLabel('First name').fill('Ada')
      await there.getByRole('button', { name: 'Save' }).click()
      await p.locator('.toast', { hasText: 'Brought in 2 contacts' }).waitFor()
      for (const name of ['Ada', 'Émile Zola', 'Žofie Nováková']) await p.locator('.ct', { hasText: name }).waitFor()
    },
  },
  {
    id: '32', name: 'a rule from a message: what it would match is what it changes; own Sieve stays byte for byte', dark: true,
    async run(s) {
      const own = '# mine\r\nrequire ["vacation"];\n\tif header :is "X-Mine" "yes" { keep; }  \n'
      await s.page.goto(s.srv.url + '/')
      await s.page.evaluate((own) => localStorage.setItem('settings', JSON.stringify({ sieve: own })), own)
      await s.signIn()
      const script = () => s.page.evaluate(() => JSON.parse(localStorage.getItem('settings')).sieve)
      await s.openRow('Sourdough, slowly')
      await s.page.keyboard.press('Control+k')
      await s.page.keyboard.type('Always do')
      await s.page.getByRole('option', { name: /Always do this/ }).click()
      const dialog = s.page.getByRole('dialog', { name: 'Rules' })
      const said = dialog.getByText(/This would have matched \d+ of your messages/)
      await said.waitFor()
      const n = +(await said.textContent()).match(/\d+/)[0]
      assert(n > 0, 'it matches')
      await s.shot('rule')
      await s.axe(s.page, 'rule')
      await dialog.getByLabel('What to do').selectOption('star')
      await dialog.getByRole('button', { name: 'Apply to these now' }).click()
      await s.page.locator('.toast', { hasText: `The rule changed ${n} message` }).waitFor()
      await dialog.getByRole('button', { name: 'Keep the rule' }).click()
      await eventually(async () => (await script()).includes('addflag "\\\\Flagged"'), 'it is Sieve')
      assert((await script()).includes(own), 'the own part is as it was: ' + JSON.stringify(await script()))
      await dialog.getByText('Own script').first().waitFor()
      await s.shot('rules')
      await s.axe(s.page, 'rules')
      await dialog.locator('.rules input[type=checkbox]').uncheck()
      await eventually(async () => !(await script()).includes('addflag') && (await script()).includes(own), 'off: only the line that describes it is left')
      await dialog.getByRole('button', { name: /^Remove / }).click()
      await eventually(async () => (await script()) === own, 'removed: nothing of ours is left')
    },
  },
  { id: '33', name: 'away: one answer for each sender', pending: 'the answers are sent by the issue of Sieve; the form is scenario 33b' },
  {
    id: '33b', name: 'away is kept with its days',
    async run(s) {
      await s.signIn()
      await s.page.keyboard.press('Control+k')
      await s.page.keyboard.type('Away')
      await s.page.getByRole('option', { name: 'Away', exact: true }).click()
      const dialog = s.page.getByRole('dialog', { name: 'Away' })
      await dialog.getByLabel('Answer for me').check()
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.getByText('Write what the answer shall say.').waitFor()
      await dialog.getByLabel('First day').fill('2040-03-20')
      await dialog.getByLabel('Last day').fill('2040-04-02')
      await dialog.getByLabel('Message').fill('I am at the sea.')
      await s.shot('away')
      await s.axe(s.page, 'away')
      await dialog.getByRole('button', { name: 'Save' }).click()
      await s.page.locator('.toast', { hasText: 'Away is on' }).waitFor()
      await s.page.reload()
      await s.page.locator('.row:not(.sk) .from').first().waitFor()
      await s.page.keyboard.press('Control+k')
      await s.page.keyboard.type('Away')
      await s.page.getByRole('option', { name: 'Away', exact: true }).click()
      await eventually(async () => (await dialog.getByLabel('Last day').inputValue()) === '2040-04-02' && (await dialog.getByLabel('First day').inputValue()) === '2040-03-20', 'the days, across a change of clocks')
      equal(await dialog.getByLabel('Message').inputValue(), 'I am at the sea.', 'the text')
    },
  },
  { id: '34', name: 'app passwords', pending: 'the issue of sign-in' },
  {
    // No push service is asked here: the browser's subscription is a made one, and the push comes from the
    // browser's tools; what the server does with a subscription is tested in jmap.
    id: '35', name: 'notifications: subscribe, one arrives with no window open, a click opens it, sign-out ends it', stage: { worker: true }, allow: offline,
    async run(s, srv) {
      await s.context.grantPermissions(['notifications'], { origin: srv.url })
      await s.context.addInitScript(() => {
        PushManager.prototype.subscribe = async function (o) {
          const k = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']), raw = await crypto.subtle.exportKey('raw', k.publicKey), auth = crypto.getRandomValues(new Uint8Array(16)).buffer
          window.signedWith = o.applicationServerKey.length
          return (window.sub = { endpoint: 'https://push.example/one', getKey: (n) => (n === 'auth' ? auth : raw), unsubscribe: async () => { window.sub = null; return true } })
        }
        PushManager.prototype.getSubscription = async () => window.sub || null
      })
      // Those of this login: nobody else sees them, and they end with it.
      const subscriptions = async () => {
        const cookies = (await s.context.cookies(srv.url)).map((c) => c.name + '=' + c.value).join('; ')
        const r = await fetch(srv.url + '/jmap/api', { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Posthouse-Client': '1', Cookie: cookies }, body: JSON.stringify({ using: ['urn:ietf:params:jmap:core'], methodCalls: [['PushSubscription/get', { ids: null }, '0']] }) })
        return r.status === 401 ? [] : (await r.json()).methodResponses[0][1].list
      }
      await s.signIn()
      await eventually(() => s.page.evaluate(() => !!navigator.serviceWorker.controller), 'the worker is there')
      await s.page.keyboard.press('Control+,')
      await s.page.getByLabel('Notify me of new mail', { exact: true }).click()
      await eventually(async () => (await subscriptions()).length === 1, 'the server has a subscription')
      equal(await s.page.evaluate(() => window.signedWith), 65, 'with the key of the server')
      equal((await subscriptions())[0].types, ['EmailDelivery'], 'for mail that comes')
      await s.page.keyboard.press('Escape')
      const cdp = await s.context.newCDPSession(s.page)
      const registration = new Promise((done) => cdp.on('ServiceWorker.workerRegistrationUpdated', (e) => { const r = e.registrations.find((r) => r.scopeURL === srv.url + '/'); if (r) done(r.registrationId) }))
      await cdp.send('ServiceWorker.enable')
      const registrationId = await registration
      const push = () => cdp.send('ServiceWorker.deliverPushMessage', { origin: srv.url, registrationId, data: JSON.stringify({ '@type': 'StateChange', changed: {} }) })
      await s.page.goto(srv.url + '/status') // no window of the client is open
      await deliver(srv, mail({ headers: { Subject: 'While nobody looked' } }))
      const shown = () => s.page.evaluate(async () => (await (await navigator.serviceWorker.getRegistration('/')).getNotifications()).map((n) => [n.title, n.body, n.data.url]))
      await push()
      const one = await eventually(async () => (await shown()).find((n) => n[1] === 'While nobody looked'), 'the notification says from whom and what')
      equal(one[0], 'Stranger', 'the sender')
      await s.page.goto(srv.url + '/')
      await s.page.locator('.row:not(.sk) .from').first().waitFor()
      const worker = s.context.serviceWorkers()[0]
      await worker.evaluate(async () => {
        const n = (await self.registration.getNotifications()).find((n) => n.body === 'While nobody looked')
        self.dispatchEvent(new NotificationEvent('notificationclick', { notification: n }))
      })
      await s.page.locator('.rb:not(.off) h1', { hasText: 'While nobody looked' }).waitFor()
      await s.page.keyboard.press('Control+,')
      await s.page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click()
      await s.page.getByText('Sign in as Ada').waitFor()
      equal(await subscriptions(), [], 'subscriptions after the sign-out')
    },
  },
  {
    id: '34b', name: 'mailboxes: made, renamed, nested, shared with rights and sending, removed; all undone', dark: true, phone: true,
    async run(s, srv) {
      const p = s.page, ada = await imap(srv), ben = await imap(srv, 'ben@demo.test')
      const listed = async (who, name) => (await who.run('LIST "" "*"')).includes(name)
      await s.signIn()
      await p.keyboard.press('Control+k')
      await p.keyboard.type('mailboxes and')
      await p.keyboard.press('Enter')
      const d = p.getByRole('dialog', { name: 'Mailboxes and sharing' })
      await d.getByLabel('Name of a new mailbox').fill('Harvest')
      await d.getByRole('button', { name: 'Create' }).click()
      await d.getByRole('button', { name: 'Harvest' }).click()
      await d.getByLabel('Name', { exact: true }).fill('Harvest 2026')
      await d.getByLabel('Name', { exact: true }).press('Enter')
      await eventually(() => listed(ada, 'Harvest 2026'), 'renamed')
      await Promise.all([s.undoing('Moved the mailbox'), d.getByLabel('Inside of').selectOption({ label: 'Projects' })])
      await eventually(async () => !(await listed(ada, 'Projects/Harvest 2026')) && listed(ada, 'Harvest 2026'), 'inside of another, and out again')
      // Shared, to read first.
      const who = d.getByLabel('Address of whom to share with')
      await who.fill('nobody@demo.test')
      await who.press('Enter')
      await d.getByText('Nobody here has the address nobody@demo.test.').waitFor()
      await who.fill('ben@demo.test')
      await who.press('Enter')
      const level = d.getByLabel('What ben@demo.test may do')
      await level.waitFor()
      const rights = async () => (await ada.run('GETACL "Harvest 2026"')).match(/"?ben@demo\.test"? "?([a-z]+)/)?.[1] || ''
      await eventually(async () => /r/.test(await rights()) && !/i/.test(await rights()), 'Ben reads')
      await level.selectOption({ label: 'Reads and changes' })
      await eventually(async () => /i/.test(await rights()), 'and changes')
      await d.getByLabel('May send as ada@demo.test').check()
      await eventually(async () => (await ada.run('GETACL Drafts')).includes('ben@demo.test'), 'drafts of both')
      await s.shot('sharing')
      await s.axe(p, 'sharing')
      // Ben sees it, and may write as Ada.
      const other = await s.browser.newContext({ serviceWorkers: 'block' })
      other.setDefaultTimeout(40_000)
      try {
        const b = await other.newPage()
        await s.signIn(b, 'Ben')
        await b.getByRole('navigation', { name: 'Mailboxes' }).getByRole('link', { name: 'Harvest 2026' }).waitFor()
        await b.keyboard.press('c')
        await b.locator('.cmp select option', { hasText: 'ada@demo.test' }).waitFor({ state: 'attached' })
      } finally { await other.close() }
      await level.selectOption({ label: 'Sees nothing' })
      await eventually(async () => (await rights()) === '', 'not any more')
      await d.getByLabel('May send as ada@demo.test').uncheck()
      await eventually(async () => (await level.count()) === 0, 'and does not send')
      // What is in it goes to the trash with it.
      await ada.append('"Harvest 2026"', mail({ headers: { Subject: 'Plums' } }))
      await d.getByRole('button', { name: /^Harvest 2026/ }).getByText('1', { exact: true }).waitFor()
      await d.getByRole('button', { name: 'Remove the mailbox' }).click()
      await d.getByText('1 message goes to Trash').waitFor()
      await s.shot('sure')
      await d.getByRole('alert').getByRole('button', { name: 'Remove the mailbox' }).click()
      await eventually(async () => !(await listed(ada, 'Harvest 2026')), 'it is gone')
      await ada.run('SELECT Trash')
      assert(/\* SEARCH \d/.test(await ada.run('SEARCH SUBJECT Plums')), 'its message is in the trash')
      ada.end(); ben.end()
    },
  },
  {
    id: '35b', name: 'notifications: of the mailboxes that were chosen, and not in the quiet hours', stage: { worker: true }, allow: offline,
    async run(s, srv) {
      await s.context.grantPermissions(['notifications'], { origin: srv.url })
      await s.context.addInitScript(() => {
        PushManager.prototype.subscribe = async function () {
          const k = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']), raw = await crypto.subtle.exportKey('raw', k.publicKey), auth = crypto.getRandomValues(new Uint8Array(16)).buffer
          return (window.sub = { endpoint: 'https://push.example/one', getKey: (n) => (n === 'auth' ? auth : raw), unsubscribe: async () => { window.sub = null; return true } })
        }
        PushManager.prototype.getSubscription = async () => window.sub || (localStorage.getItem('push') ? { unsubscribe: async () => true } : null) // it outlives the page
      })
      await s.signIn()
      await eventually(() => s.page.evaluate(() => !!navigator.serviceWorker.controller), 'the worker is there')
      const known = () => s.page.evaluate(async () => { const r = await caches.match('/push', { cacheName: 'push' }); return r ? r.json() : null })
      await s.page.keyboard.press('Control+,')
      await s.page.getByLabel('Notify me of new mail', { exact: true }).click()
      await eventually(async () => (await known())?.boxes.length === 1, 'the worker knows the inbox')
      const inbox = (await known()).boxes[0]
      await s.page.keyboard.press('Escape')
      // The other mailbox instead of the inbox.
      await s.page.keyboard.press('Control+k')
      await s.page.keyboard.type('mailboxes and')
      await s.page.keyboard.press('Enter')
      const dialog = s.page.getByRole('dialog', { name: 'Mailboxes and sharing' })
      await dialog.getByRole('button', { name: /^Inbox/ }).click()
      const told = dialog.getByLabel('Notify me of new mail here')
      assert(await told.isChecked() && await told.isDisabled(), 'the last one stays')
      await dialog.getByRole('button', { name: /^Garden/ }).click()
      await told.check()
      await dialog.getByRole('button', { name: /^Inbox/ }).click()
      await told.uncheck()
      await s.axe(s.page, 'mailboxes')
      await eventually(async () => { const k = await known(); return k.boxes.length === 1 && k.boxes[0] !== inbox }, 'the worker knows the other one')
      await s.page.keyboard.press('Escape')
      const cdp = await s.context.newCDPSession(s.page)
      const registration = new Promise((done) => cdp.on('ServiceWorker.workerRegistrationUpdated', (e) => { const r = e.registrations.find((r) => r.scopeURL === srv.url + '/'); if (r) done(r.registrationId) }))
      await cdp.send('ServiceWorker.enable')
      const registrationId = await registration
      const push = () => cdp.send('ServiceWorker.deliverPushMessage', { origin: srv.url, registrationId, data: JSON.stringify({ '@type': 'StateChange', changed: {} }) })
      // Each notification is seen as it is asked for, also one that goes again at once.
      const worker = s.context.serviceWorkers()[0]
      await worker.evaluate(() => { self.asked = []; const show = self.registration.showNotification.bind(self.registration); self.registration.showNotification = (title, o) => { self.asked.push([o.tag === 'hush' ? 'hush' : o.body, !!o.silent]); return show(title, o) } })
      const asked = () => worker.evaluate(() => self.asked), shown = () => s.page.evaluate(async () => (await (await navigator.serviceWorker.getRegistration('/')).getNotifications()).map((n) => n.body))
      await s.page.goto(srv.url + '/status') // no window of the client is open
      await deliver(srv, mail({ headers: { Subject: 'For the inbox only' } }))
      await push()
      await eventually(async () => (await asked()).length === 1, 'the worker has looked')
      equal(await asked(), [['hush', true]], 'of the inbox nothing is told')
      await eventually(async () => (await shown()).length === 0, 'and what the browser wants is gone again')
      const other = await imap(srv)
      await other.append((await other.run('LIST "" "*Garden"')).match(/"([^"]*Garden)"|(\S*Garden)\r/).slice(1).find((x) => x), mail({ headers: { Subject: 'The roses are out' } }))
      other.end()
      await push()
      await eventually(async () => (await shown()).includes('The roses are out'), 'of the garden it is')
      // Quiet hours around now, and then others.
      const hour = await worker.evaluate(() => new Date().getHours()), time = (by) => String((hour + 24 + by) % 24).padStart(2, '0') + ':00'
      const quiet = async (from, to, name) => {
        await s.page.goto(srv.url + '/')
        await s.page.locator('.row:not(.sk) .from').first().waitFor()
        await s.page.keyboard.press('Control+,')
        await eventually(() => s.page.getByLabel('Notify me of new mail', { exact: true }).isChecked(), 'it is on')
        if (!(await s.page.getByLabel('Quiet from').count())) await s.page.getByLabel('Quiet hours').click()
        await s.page.getByLabel('Quiet from').fill(from)
        await s.page.getByLabel('Quiet until').fill(to)
        await s.shot(name)
        await s.axe(s.page, name)
        await eventually(async () => (await known()).quiet === `${from}-${to}`, 'the worker knows the hours')
        await s.page.goto(srv.url + '/status')
      }
      const garden = async (Subject) => { const o = await imap(srv); await o.append((await o.run('LIST "" "*Garden"')).match(/"([^"]*Garden)"|(\S*Garden)\r/).slice(1).find((x) => x), mail({ headers: { Subject } })); o.end() }
      await quiet(time(-1), time(2), 'quiet')
      const before = (await asked()).length
      await garden('In the night')
      await push()
      await eventually(async () => (await asked()).length > before, 'the worker was woken')
      equal((await asked()).slice(before), [['hush', true]], 'and told nothing')
      await quiet(time(3), time(5), 'not-quiet')
      await garden('In the morning')
      await push()
      await eventually(async () => (await shown()).includes('In the morning'), 'outside of them it tells')
    },
  },
  {
    id: '34c', name: 'Trash is emptied: asked once more, by the server, what is elsewhere too stays', dark: true, phone: true,
    async run(s, srv) {
      const other = await imap(srv), text = (i) => `From: a@elsewhere.example\r\nTo: ada@demo.test\r\nSubject: Gone ${i}\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <gone${i}@elsewhere.example>\r\n\r\nBody\r\n`
      await other.run('SELECT Trash')
      const had = +(await other.run('STATUS Trash (MESSAGES)')).match(/MESSAGES (\d+)/)[1]
      await other.many('Trash', 1200, text)
      await s.signIn()
      // One of them is in another mailbox as well.
      const [[, q]] = await api(s.page, [['Email/query', { filter: { subject: '"Gone 7"' }, limit: 1 }, 'q']]), [[, boxes]] = await api(s.page, [['Mailbox/get', { ids: null }, 'b']])
      const trash = boxes.list.find((b) => b.role === 'trash').id, archive = boxes.list.find((b) => b.role === 'archive').id
      await api(s.page, [['Email/set', { update: { [q.ids[0]]: { [`mailboxIds/${archive}`]: true } } }, 's']])
      const count = async () => (await api(s.page, [['Mailbox/get', { ids: [trash] }, 'b']]))[0][1].list[0].totalEmails
      equal(await count(), had + 1200, 'messages in Trash')
      if (s.o.phone) { await s.page.getByRole('button', { name: 'Mailboxes' }).click(); await s.page.locator('nav.side a', { hasText: 'Trash' }).click() } else { await s.page.keyboard.press('g'); await s.page.keyboard.press('x') }
      await s.page.getByRole('button', { name: 'Empty Trash…' }).waitFor()
      await s.axe(s.page, 'trash')
      await s.page.getByRole('button', { name: 'Empty Trash…' }).click()
      const sure = s.page.getByRole('alertdialog', { name: 'Empty Trash?' })
      await sure.getByText(/1,2\d\d messages are deleted for ever\. This cannot be undone\./).waitFor()
      await eventually(() => sure.getByRole('button', { name: 'Cancel' }).evaluate((b) => b === document.activeElement), 'the focus is on the safe button')
      await s.shot('sure')
      await s.axe(s.page, 'sure')
      await s.page.keyboard.press('Escape')
      await sure.waitFor({ state: 'detached' })
      equal(await count(), had + 1200, 'nothing is gone')
      await s.page.getByRole('button', { name: 'Empty Trash…' }).click()
      await sure.getByRole('button', { name: 'Delete for ever' }).click()
      await s.page.locator('.toast', { hasText: /Trash is empty: 1,\d\d\d messages deleted for ever/ }).waitFor()
      await s.page.getByText('Nothing in Trash.').waitFor()
      assert(/MESSAGES 0\)/.test(await other.run('STATUS Trash (MESSAGES)')), 'the other program sees none')
      await other.run('SELECT Archive')
      assert(/\* SEARCH \d+\r/.test(await other.run('SEARCH SUBJECT "Gone 7"')), 'what is in the archive too is there')
      other.end()
      equal(await s.page.getByRole('button', { name: 'Empty Trash…' }).count(), 0, 'nothing to empty')
    },
  },
  {
    id: '36b', name: 'the reading pane beside the list, below it, or in its place', dark: true,
    async run(s) {
      await s.signIn()
      const p = s.page, k = p.keyboard, where = async (sel) => p.locator(sel).boundingBox()
      const set = async (name) => { await k.press('Control+,'); await p.getByLabel('Reading pane').selectOption({ label: name }); await k.press('Escape'); await p.getByRole('dialog').waitFor({ state: 'detached' }) }
      await s.openRow('Sourdough, slowly')
      let list = await where('section.list'), read = await where('#reader')
      assert(read.x >= list.x + list.width - 1 && Math.abs(read.y - list.y) < 2, 'beside it')
      await set('Below the list')
      await eventually(async () => { list = await where('section.list'); read = await where('#reader'); return read.y >= list.y + list.height - 1 && Math.abs(read.x - list.x) < 2 && read.width > 900 }, 'below it')
      await s.body()
      await s.shot('below')
      await s.axe(p, 'below')
      await k.press('j')
      await eventually(() => p.evaluate(() => document.querySelector('.rb:not(.off) h1') && !/Sourdough/.test(document.querySelector('.rb:not(.off) h1').textContent)), 'the next one')
      await p.reload()
      await p.locator('.rb:not(.off) h1').waitFor()
      list = await where('section.list'); read = await where('#reader')
      assert(read.y >= list.y + list.height - 1, 'it stays below after a reload')
      await k.press('Escape')
      await p.getByText('No conversation is open.').waitFor()
      await k.press('Shift+P')
      await eventually(async () => !(await p.locator('#reader').isVisible()), 'off: the list alone')
      list = await where('section.list')
      assert(list.width > 1100, 'over the whole width')
      await s.shot('off')
      await s.axe(p, 'off')
      await p.locator('#list').evaluate((l) => l.scrollTo(0, 1500))
      await eventually(async () => (await p.locator('#list').evaluate((l) => l.scrollTop)) >= 1400, 'scrolled')
      const subject = await eventually(() => p.evaluate(() => { const l = document.getElementById('list').getBoundingClientRect(); const r = [...document.querySelectorAll('.row:not(.sk)')].find((r) => { const b = r.getBoundingClientRect(); return b.top > l.top + 100 && b.bottom < l.bottom - 100 }); return r?.querySelector('.sub b')?.textContent }), 'a row in the middle')
      await s.row(subject).click()
      await p.locator('.rb:not(.off) h1').waitFor()
      await eventually(async () => !(await p.locator('section.list').isVisible()) && (await where('#reader')).width > 1100, 'the message in the place of the list')
      await s.shot('instead')
      await p.getByRole('button', { name: 'Back to the list' }).click()
      await p.locator('section.list').waitFor()
      await eventually(async () => (await p.locator('#list').evaluate((l) => l.scrollTop)) >= 1000 && (await s.row(subject).isVisible()), 'the list is where it was')
      await eventually(() => p.evaluate(() => document.activeElement.id === 'list'), 'the focus is in the list')
      await k.press('Enter')
      await p.locator('.rb:not(.off) h1').waitFor()
      await k.press('u')
      await p.locator('section.list').waitFor()
      await set('Beside the list')
      await eventually(async () => p.locator('#reader').isVisible(), 'beside it again')
    },
  },
  {
    id: '34d', name: 'a mailbox goes out as a file, and comes in again; mbox, eml and zip; undone', dark: true, phone: true, allow: offline,
    async run(s, srv) {
      const p = s.page, dialog = p.getByRole('dialog', { name: 'Import and export' })
      const open = async () => { if (s.o.phone) { await p.getByRole('navigation', { name: 'Areas' }).getByRole('button', { name: 'Settings' }).click(); await p.locator('.set span', { hasText: /^Import and export$/ }).locator('xpath=following-sibling::span[1]').getByRole('button').click() } else { await p.keyboard.press('Control+k'); await p.keyboard.type('import and'); await p.keyboard.press('Enter') } await dialog.waitFor() }
      const other = await imap(srv), quoted = 'From here on.\r\n>From there.\r\n\r\nFrom nobody 12:00 2024\r\nÄpfel €.\r\n'
      await other.run('CREATE Out')
      await other.run('CREATE In')
      for (const [i, text] of [[1, quoted], [2, 'Two.\r\n'], [3, 'Three.\r\n']]) await other.append('Out', `From: a@elsewhere.example\r\nTo: ada@demo.test\r\nSubject: Letter ${i}\r\nDate: Mon, ${i} Jan 2024 00:00:00 +0000\r\nMessage-ID: <letter${i}@elsewhere.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${text}`)
      await s.signIn()
      await open()
      await s.shot('page')
      await s.axe(p, 'import and export')
      await dialog.getByRole('combobox').nth(1).selectOption({ label: 'Out' })
      const [file] = await Promise.all([p.waitForEvent('download'), dialog.getByRole('link', { name: 'Save 3 messages' }).click()])
      equal(file.suggestedFilename(), 'Out.mbox', 'the name of the file')
      const mbox = readFileSync(await file.path())
      equal(mbox.toString().match(/^From /gm).length, 3, 'messages in the file')
      // The same file comes in again, and with it a message alone, and a zip archive of both forms.
      const eml = Buffer.from('From: b@elsewhere.example\r\nTo: ada@demo.test\r\nSubject: Letter 4\r\nMessage-ID: <letter4@elsewhere.example>\r\n\r\nFour.\r\n')
      const files = (l) => p.locator('#mail-files').setInputFiles(l.map(([name, buffer]) => ({ name, mimeType: 'application/octet-stream', buffer })))
      await dialog.getByRole('combobox').nth(0).selectOption({ label: 'In' })
      await files([['Out.mbox', mbox], ['letter.eml', eml], ['all.zip', zip([['deep/Out.mbox', mbox, true], ['note.eml', eml, false], ['picture.png', Buffer.alloc(99), false]])]])
      await p.locator('.toast', { hasText: 'Imported 8 messages into In' }).waitFor()
      assert(/MESSAGES 8\)/.test(await other.run('STATUS In (MESSAGES)')), 'the other program sees them')
      await other.run('SELECT In')
      const n = (await other.run('SEARCH SUBJECT "Letter 1"')).match(/\* SEARCH (\d+)/)[1], whole = Buffer.from(await other.run(`FETCH ${n} BODY.PEEK[TEXT]`), 'latin1').toString()
      assert(whole.includes(quoted), 'to the letter: ' + whole)
      await p.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' })
      await p.locator('.toast', { hasText: 'Imported 8' }).getByRole('button', { name: 'Undo' }).click()
      await p.locator('.toast', { hasText: 'Undone: Imported 8' }).waitFor()
      assert(/MESSAGES 0\)/.test(await other.run('STATUS In (MESSAGES)')), 'they are gone again')
      // What is no mail is said to be none.
      await open()
      await files([['picture.png', Buffer.alloc(5000, 1)]])
      await dialog.getByRole('alert').filter({ hasText: 'There is no mail in this file.' }).waitFor()
      await s.axe(p, 'no mail')
      other.end()
    },
  },
  {
    id: '36', name: 'many messages: one scrollbar, few nodes, right rows', 
    async run(s, srv) {
      const other = await imap(srv)
      const one = (i) => Buffer.from(`From: Sender ${i % 97} <s${i % 97}@elsewhere.example>\r\nTo: ada@demo.test\r\nSubject: Number ${i}\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <n${i}@elsewhere.example>\r\n\r\nBody ${i}\r\n`)
      await other.run('CREATE Many')
      await other.many('Many', 2000, (i) => one(i).toString())
      other.end()
      await s.signIn()
      await s.page.locator('nav.side a', { hasText: 'Many' }).click()
      await eventually(async () => (await s.page.locator('#list').getAttribute('aria-rowcount')) === '2000', 'all are counted')
      const nodes = await s.page.evaluate(() => document.querySelectorAll('#list .row').length)
      assert(nodes <= 60, `${nodes} rows`)
      await s.page.keyboard.press('End')
      await eventually(async () => (await s.subjects()).length > 0 && !(await s.page.locator('.row.sk').count()), 'the end')
      // At any place the rows are those that the server has there, and it stays few of them.
      const ask = async (position) => {
        const r = await fetch(srv.url + '/jmap/api', { method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: 'Basic ' + Buffer.from('ada@demo.test:demo').toString('base64') }, body: JSON.stringify({ using: ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail'], methodCalls: [
          ['Email/query', { accountId: account, filter: { inMailbox: box }, sort: [{ property: 'receivedAt', isAscending: false }], collapseThreads: true, position, limit: 10 }, '0'],
          ['Email/get', { accountId: account, '#ids': { resultOf: '0', name: 'Email/query', path: '/ids' }, properties: ['subject'] }, '1']] }) })
        const [[, q], [, g]] = (await r.json()).methodResponses
        return q.ids.map((id) => g.list.find((e) => e.id === id).subject)
      }
      const box = decodeURIComponent(new URL(s.page.url()).pathname.split('/')[2]), account = (await s.page.evaluate(() => JSON.parse(localStorage.getItem('session')))).account
      for (const at of [1500, 30, 1017, 640, 1921]) {
        await s.page.evaluate((at) => { const v = document.getElementById('list'); v.scrollTop = (v.scrollHeight - v.clientHeight) * at / 2000 }, at)
        const shown = await eventually(() => s.page.evaluate(() => {
          const v = document.getElementById('list').getBoundingClientRect(), here = [...document.querySelectorAll('#list .row')].map((r) => ({ i: +r.getAttribute('aria-rowindex') - 1, y: r.getBoundingClientRect(), sk: r.classList.contains('sk'), text: r.querySelector('.sub b')?.textContent })).filter((r) => r.y.top >= v.top && r.y.bottom <= v.bottom).sort((a, b) => a.y.top - b.y.top)
          return here.length >= 10 && here.every((r, n) => !r.sk && r.i === here[0].i + n) ? here.slice(0, 10).map((r) => [r.i, r.text]) : null
        }), 'rows at ' + at)
        equal(shown.map((x) => x[1]), await ask(shown[0][0]), `the rows from ${shown[0][0]} on`)
        const n = await s.page.evaluate(() => [document.querySelectorAll('#list *').length, document.querySelectorAll('#list .row').length])
        assert(n[0] <= 200 && n[1] <= 40, `${n} nodes and rows`)
      }
    },
  },
  {
    id: '37', name: 'j many times: quick, and few frames',
    async run(s) {
      await s.signIn()
      await s.page.keyboard.press('Enter')
      await s.page.locator('.rb:not(.off) iframe').first().waitFor()
      for (let i = 0; i < 30; i++) await s.page.keyboard.press('j')
      await eventually(() => s.page.evaluate(() => document.querySelectorAll('.rb').length <= 3), 'three conversations are kept')
      await eventually(() => s.page.evaluate(() => document.querySelector('.row.foc')?.getAttribute('aria-rowindex') === '31'), 'the thirty-first')
      await s.body()
    },
  },
  {
    id: '38', name: 'without the server: read, act, write; with it again: all of it, once; sign-out wipes', phone: true, allow: [...offline, /EventSource|502|Failed to fetch/],
    stage: { worker: true }, keep: true,
    async run(s, srv, keep) {
      await s.watchShifts()
      await s.signIn()
      const before = await s.subjects()
      await s.page.evaluate(() => navigator.serviceWorker.ready.then(() => null))
      await eventually(() => s.page.evaluate(() => !!navigator.serviceWorker.controller), 'the worker is there')
      // What one opens is kept.
      await s.page.locator('.row').first().click()
      await s.body()
      const id = await s.page.locator('.rb:not(.off) article').last().getAttribute('data-id')
      await eventually(() => s.page.evaluate(async (id) => (await (await caches.open('bodies')).keys()).some((r) => r.url.endsWith('/' + id)), id), 'the message is kept')
      await eventually(() => s.page.evaluate(async () => {
        const name = (await indexedDB.databases()).find((d) => d.name.startsWith('mail-'))?.name
        const db = await new Promise((r) => { const q = indexedDB.open(name); q.onsuccess = () => r(q.result) })
        const n = await new Promise((r) => { const q = db.transaction('lists').objectStore('lists').count(); q.onsuccess = () => r(q.result) })
        db.close()
        return n > 0
      }), 'the list is kept')
      const text = await (await s.body()).evaluate(() => document.body.textContent.trim().slice(0, 40))
      await srv.stop('SIGKILL')
      const release = await hold(srv.base)
      await s.page.goto(srv.url + '/')
      await s.page.locator('.row:not(.sk) .from').first().waitFor()
      equal((await s.subjects()).slice(0, 6), before.slice(0, 6), 'the list as it was')
      await s.page.getByText(/^Offline\. This is your mail/).waitFor()
      await s.shot('offline')
      await s.axe(s.page, 'offline')
      await s.still('a start without the server')
      await s.page.locator('.row').first().click()
      await s.page.locator('.rb:not(.off) h1').waitFor()
      const f = await s.body()
      assert((await f.evaluate(() => document.body.textContent)).includes(text), 'the message is read')
      equal(await f.evaluate(() => { try { return document.cookie } catch (e) { return e.name } }), 'SecurityError', 'and has no origin here either')
      if (s.o.phone) await s.page.getByRole('button', { name: 'Back to the list' }).click()
      else await s.page.keyboard.press('Escape')
      for (let i = 0; i < 3; i++) await s.page.keyboard.press('e')
      await eventually(async () => (await s.subjects())[0] === before[3], 'three are gone')
      // They wait through another reload.
      await s.page.reload()
      await s.page.locator('.row:not(.sk) .from').first().waitFor()
      await eventually(async () => (await s.subjects())[0] === before[3], 'they are still gone')
      if (s.o.phone) await s.page.locator('.fab').click()
      else await s.page.keyboard.press('c')
      await s.page.locator('.cmp input[id^=to-]').fill('ben@demo.test')
      await s.page.locator('.cmp input[id^=subject-]').fill('Written on the train')
      const editor = await (await s.page.locator('.cmp iframe').elementHandle()).contentFrame()
      await editor.locator('#ed').click()
      await editor.locator('#ed').pressSequentially('From the **dining car** ')
      equal(await editor.evaluate(() => [origin, (() => { try { return document.cookie } catch (e) { return e.name } })()]), ['null', 'SecurityError'], 'the editor has no origin here either')
      await s.page.locator('.cmp header small', { hasText: 'Kept on this device' }).first().waitFor()
      await s.shot('written offline')
      await release()
      srv.current = await demo(['--keep', keep, '--port-base', String(srv.base)])
      await s.page.locator('.cmp header small', { hasText: 'Saved' }).first().waitFor()
      const other = await imap(srv)
      await other.run('SELECT Archive')
      await eventually(async () => { await other.run('NOOP'); for (const x of before.slice(0, 3)) if (!/\* SEARCH \d+/.test(await other.run(`SEARCH SUBJECT "${x.slice(0, 20)}"`))) return false; return true }, 'the three are archived')
      await other.run('SELECT Drafts')
      await eventually(async () => { await other.run('NOOP'); return /\* SEARCH \d+\r\n/.test(await other.run('SEARCH SUBJECT "Written on the train" BODY "dining car"')) }, 'the draft is there once')
      other.end()
      await s.page.locator('.cmp').getByRole('button', { name: 'Save and close' }).click()
      await eventually(async () => (await s.subjects())[0] === before[3], 'the list agrees')
      // Nothing of it stays after the sign-out.
      await s.page.getByRole('button', { name: 'Settings' }).last().click()
      await s.page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click()
      await s.page.getByText('Sign in as Ada').waitFor()
      equal(await s.page.evaluate(async () => [(await indexedDB.databases()).map((d) => d.name), await caches.keys(), localStorage.length, (await navigator.serviceWorker.getRegistrations()).length]), [[], [], 0, 0], 'the device is empty')
    },
  },
  {
    id: '38b', name: 'the server has a new version: the old window goes on whole, is told, and changes with its draft', stage: { worker: true }, allow: [...offline, /404/],
    async run(s, srv) {
      const v = await versions(srv)
      try {
        s.srv = { ...srv, url: v.url }
        await s.signIn()
        await eventually(() => s.page.evaluate(() => !!navigator.serviceWorker.controller), 'the worker is there')
        await s.openRow('Sourdough, slowly') // something was begun: it does not change by itself
        equal([await loaded(s.page), await shells(s.page)], [[1], [1]], 'the first version')
        const offer = (page) => page.locator('.toast', { hasText: 'A new version is ready.' })
        // Another window brings the new version, and takes it.
        v.now = 2
        const other = await s.window()
        await other.goto(v.url + '/')
        await eventually(async () => {
          if ((await loaded(other)).includes(2)) return true
          if (await offer(other).count()) await offer(other).getByRole('button', { name: 'Reload' }).click({ timeout: 1000 })
        }, 'the other window has the new version')
        await other.locator('.row:not(.sk) .from').first().waitFor()
        equal(await loaded(other), [2], 'nothing of the old one')
        await other.close()
        // This one goes on as it was begun: what it had not loaded yet is there.
        await offer(s.page).waitFor()
        await s.page.keyboard.press('Escape')
        await s.page.keyboard.press('c')
        await s.page.locator('.cmp input[id^=to-]').fill('ben@demo.test')
        await s.page.locator('.cmp input[id^=subject-]').fill('Begun in the old version')
        const ed = await (await s.page.locator('.cmp iframe').elementHandle()).contentFrame()
        await ed.locator('[contenteditable=true]').fill('It stays.')
        await s.page.locator('.cmp header small', { hasText: 'Saved' }).waitFor()
        equal([await loaded(s.page), await shells(s.page), v.missing], [[1], [1, 2], []], 'the old window is of the old version')
        await s.shot('told')
        await offer(s.page).getByRole('button', { name: 'Reload' }).click()
        await eventually(async () => (await loaded(s.page)).includes(2) && (await s.page.locator('.cmp input[id^=subject-]').inputValue({ timeout: 1000 })) === 'Begun in the old version', 'the draft is open in the new version')
        const again = await (await s.page.locator('.cmp iframe').elementHandle()).contentFrame()
        await again.getByText('It stays.').waitFor()
        equal(await loaded(s.page), [2], 'nothing of the old one')
        // A version that only waited was in use by nobody: it does not take the place of the one that was.
        for (v.now of [3, 4]) {
          await s.page.evaluate(() => navigator.serviceWorker.getRegistration().then((r) => r.update()).then(() => null))
          await eventually(async () => (await shells(s.page)).includes(v.now) && (await s.page.evaluate(async (n) => (await (await caches.open((await caches.keys()).find((k) => k.startsWith('shell-') && k.endsWith('-' + n)))).match('/shell')) !== undefined && (await navigator.serviceWorker.getRegistration()).installing === null, v.now)), `version ${v.now} waits`)
        }
        await eventually(async () => {
          if ((await loaded(s.page)).includes(4)) return true
          if (await offer(s.page).count()) await offer(s.page).getByRole('button', { name: 'Reload' }).click({ timeout: 1000 })
        }, 'the newest')
        await s.page.locator('.row:not(.sk) .from').first().waitFor()
        await eventually(async () => JSON.stringify(await shells(s.page)) === '[2,4]', 'the version before is kept, and no other')
        equal([await loaded(s.page), v.missing], [[4], []], 'all of it is of one version')
      } finally { v.close() }
    },
  },
  {
    id: '39', name: 'every state is accessible; focus is never lost', dark: true,
    async run(s, srv) {
      await s.page.goto(srv.url + '/')
      await s.page.getByText('Sign in as Ada').waitFor()
      await s.axe(s.page, 'sign-in')
      await s.shot('sign-in')
      await s.signIn()
      const p = s.page.keyboard, focused = async (what) => assert(await s.page.evaluate(() => document.activeElement && document.activeElement !== document.body), `focus is lost after ${what}`)
      for (const [keys, what] of [['Control+k', 'palette'], ['?', 'help'], ['Control+,', 'settings'], ['v', 'move'], ['l', 'label']]) {
        await p.press(keys)
        await s.page.getByRole('dialog').first().waitFor()
        await s.axe(s.page, what)
        await s.shot(what)
        await p.press('Escape')
        await eventually(async () => (await s.page.getByRole('dialog').count()) === 0, `${what} closes`)
        await focused(what)
      }
      await p.press('x')
      await s.axe(s.page, 'selection')
      await p.press('Escape')
      await p.press('g'); await p.press('d')
      await eventually(() => s.page.evaluate(() => document.title.includes('Drafts')), 'drafts by keys')
      await s.axe(s.page, 'drafts')
      await focused('g d')
      await p.press('g'); await p.press('x')
      await eventually(() => s.page.evaluate(() => document.title.includes('Trash')), 'trash by keys')
      await s.shot('empty')
      await s.axe(s.page, 'trash')
    },
  },
  {
    id: '39a', name: 'by keys alone: sign in, read, answer, search, put off, label, undo; the focus is always somewhere',
    async run(s, srv) {
      const k = s.page.keyboard, p = s.page
      const focused = (what) => eventually(() => p.evaluate(() => document.activeElement && document.activeElement !== document.body), `the focus is somewhere after ${what}`)
      await p.goto(srv.url + '/')
      await p.getByText('Sign in as Ada').waitFor()
      for (let i = 0; i < 10 && !(await p.evaluate(() => /Sign in as Ada/.test(document.activeElement.textContent) && document.activeElement.tagName === 'BUTTON')); i++) await k.press('Tab')
      await k.press('Enter')
      await p.locator('.row:not(.sk) .from').first().waitFor()
      await focused('the sign-in')
      const before = await s.subjects()
      await k.press('Enter')
      await s.body()
      await focused('a message was opened')
      await k.press('r')
      await p.locator('.cmp .pill').first().waitFor()
      const f = await (await p.locator('.cmp iframe').elementHandle()).contentFrame()
      await f.locator('#ed').waitFor()
      await eventually(() => p.evaluate(() => document.activeElement.tagName === 'IFRAME'), 'an answer is begun in the text')
      await k.type('Thank you, by keys.')
      await p.locator('.cmp header small', { hasText: 'Saved' }).first().waitFor()
      await k.press('Escape') // out of the text, then out of the window
      await eventually(() => p.evaluate(() => document.activeElement.matches('.cmp header button')), 'Escape leaves the text')
      await k.press('Escape')
      await p.locator('.cmp').waitFor({ state: 'detached' })
      await focused('the draft was closed')
      await p.locator('#list').focus()
      await k.press('Escape')
      await p.locator('#reader .rb:not(.off)').waitFor({ state: 'detached' })
      await focused('the way back')
      await k.press('h')
      await p.getByRole('dialog').waitFor()
      await focused('the times of putting off')
      await k.press('Enter')
      await eventually(async () => !(await s.subjects()).includes(before[0]), 'put off')
      await focused('it was put off')
      await k.press('z')
      await eventually(async () => (await s.subjects())[0] === before[0], 'undone')
      await k.press('l')
      await p.getByRole('dialog').waitFor()
      await k.type('Garden')
      await k.press('Enter')
      await p.locator('.toast', { hasText: /Garden/ }).first().waitFor()
      await focused('a label')
      await k.press('z')
      await k.press('/')
      await eventually(() => p.evaluate(() => document.activeElement.id === 'search'), 'the search has the focus')
      await k.type('porto')
      await k.press('Enter')
      await eventually(async () => (await s.subjects()).some((x) => /Porto/.test(x)), 'found')
      await focused('the search')
      await p.locator('#list').focus()
      await k.press('Escape')
      await eventually(() => p.evaluate(() => document.title.includes('Inbox')), 'back in the inbox')
      await focused('leaving the search')
      for (const key of ['e', '#', '!', 's']) { await k.press(key); await focused(key) }
      for (let i = 0; i < 4; i++) await k.press('z')
      await eventually(async () => JSON.stringify((await s.subjects()).slice(0, 4)) === JSON.stringify(before.slice(0, 4)), 'all of it is undone')
      await focused('undoing all')
    },
  },
  {
    id: '39c', name: 'every page and state is accessible, also with high contrast', dark: true, allow: offline,
    async run(s, srv) {
      const p = s.page, k = p.keyboard, list = p.locator('#list')
      const seen = async (what) => { await s.axe(p, what); await s.shot(what.replaceAll(' ', '-')) }
      const closed = async () => { await k.press('Escape'); await p.getByRole('dialog').waitFor({ state: 'detached' }) }
      const palette = async (text, dialog) => { await k.press('Control+k'); await k.type(text); await p.getByRole('option').first().waitFor(); await k.press('Enter'); await p.getByRole('dialog', { name: dialog }).waitFor() }
      if (s.o.forced) await p.emulateMedia({ forcedColors: 'active', colorScheme: 'dark' })
      else if (!s.o.dark) await p.emulateMedia({ contrast: 'more' })
      const other = await imap(srv)
      await other.run('SELECT Trash')
      await other.run('STORE 1:* +FLAGS (\\Deleted)')
      await other.run('EXPUNGE')
      other.end()
      // The server does not answer what is asked first; then it takes its time.
      await s.signIn()
      await p.route('**/jmap/api', (r) => r.abort())
      await p.goto(srv.url + '/mail/' + encodeURIComponent('nowhere')).catch(() => {})
      await p.locator('.empty, .row, .bar').first().waitFor()
      await seen('the server is away')
      await p.unrouteAll({ behavior: 'ignoreErrors' })
      let go
      const wait = new Promise((r) => (go = r))
      await p.route('**/jmap/api', async (r) => { await wait; await r.continue().catch(() => {}) })
      await p.goto(srv.url + '/')
      await p.locator('.row.sk').first().waitFor({ state: 'attached' })
      await seen('loading')
      go()
      await p.unrouteAll({ behavior: 'ignoreErrors' })
      await p.locator('.row:not(.sk) .from').first().waitFor()
      // A search, with what it offers, and one that finds nothing; a filter that leaves nothing.
      await k.press('/')
      await k.type('from:g')
      await p.getByRole('option').first().waitFor()
      await seen('suggestions')
      await p.locator('#search').fill('zzqqzz')
      await k.press('Enter')
      await p.getByText('Nothing found for “zzqqzz”').waitFor()
      await seen('nothing found')
      await p.getByRole('button', { name: 'Clear' }).click()
      await p.locator('.row:not(.sk) .from').first().waitFor()
      await list.focus()
      await k.press('g'); await k.press('x')
      await p.getByText('Nothing in Trash.').waitFor()
      await seen('empty')
      await p.getByRole('button', { name: 'Unread' }).click()
      await p.getByText('Nothing here with this filter.').waitFor()
      await seen('empty with a filter')
      await list.focus()
      await k.press('g'); await k.press('i')
      await p.locator('.row:not(.sk) .from').first().waitFor()
      // What is said, and what is asked.
      await k.press('e')
      await p.locator('.toast').first().waitFor()
      await seen('undo')
      await k.press('z')
      await k.press('h')
      await p.getByRole('dialog').waitFor()
      await seen('snooze')
      await closed()
      await palette('Rules', 'Rules')
      await seen('rules')
      await closed()
      await palette('Away', 'Away')
      await seen('away')
      await closed()
      await k.press('g'); await k.press('c')
      await p.getByText('No contacts yet.').waitFor()
      await palette('New group', /group/i)
      await seen('group')
      await closed()
      await k.press('g'); await k.press('i')
      await p.locator('.row:not(.sk) .from').first().waitFor()
      // A conversation that cannot be loaded, and one whose change the server refuses.
      await s.openRow('Photos from the workshop')
      await k.press('Control+k')
      await seen('palette over a conversation')
      await closed()
      await p.locator('.rb:not(.off)').getByRole('button', { name: 'Details' }).first().click()
      await p.locator('.rb:not(.off) .addr').waitFor()
      await seen('details')
      await p.route('**/jmap/api', async (r) => {
        const b = r.request().postDataJSON()
        if (!b.methodCalls.some((c) => c[0] === 'Email/set')) return r.continue().catch(() => {})
        await r.fulfill({ json: { methodResponses: b.methodCalls.map((c) => ['error', { type: 'overQuota', description: 'no room' }, c[2]]), sessionState: 'x' } })
      })
      await k.press('s')
      await p.locator('.toast.bad').first().waitFor()
      await seen('refused')
      await p.unrouteAll({ behavior: 'ignoreErrors' })
      await k.press('Escape')
      // All of the editor.
      await k.press('c')
      await p.locator('.cmp input[id^=to-]').fill('ben@demo.test')
      await p.locator('.cmp input[id^=to-]').press('Enter')
      await p.locator('.cmp .pill').waitFor()
      await seen('editor')
      await p.locator('.cmp').getByRole('button', { name: 'Templates' }).click()
      await p.getByRole('menuitem').first().waitFor()
      await seen('templates')
      await k.press('Escape')
      await p.locator('.cmp').getByRole('button', { name: 'Discard the draft' }).click()
      await p.locator('.cmp').waitFor({ state: 'detached' })
    },
  },
  {
    id: '39b', name: 'accessible from right to left, and with forced colours', stage: { locale: 'ar' }, phone: true,
    async run(s, srv) {
      for (const media of [{}, { forcedColors: 'active', colorScheme: 'dark' }]) {
        const name = Object.values(media).join(' ') || 'rtl', p = s.page.keyboard
        await s.page.emulateMedia(media)
        await s.page.goto(srv.url + '/')
        if (name === 'rtl') {
          await s.page.locator('.demo button').first().waitFor()
          await s.axe(s.page, 'sign-in ' + name)
          await s.page.locator('.demo button').first().click()
        }
        await s.page.locator('.row:not(.sk) .from').first().waitFor()
        equal(await s.page.evaluate(() => document.documentElement.dir), 'rtl', 'the direction')
        await s.openRow('Sourdough, slowly')
        await s.page.locator('.rb:not(.off) .note').first().waitFor()
        await s.axe(s.page, 'reader ' + name)
        await s.shot('reader-' + name.replace(' ', '-'))
        for (const [keys, what] of [['Control+k', 'palette'], ['Control+,', 'settings']]) {
          await p.press(keys)
          await s.page.getByRole('dialog').first().waitFor()
          await s.axe(s.page, `${what} ${name}`)
          await p.press('Escape')
          await eventually(async () => (await s.page.getByRole('dialog').count()) === 0, `${what} closes`)
        }
        await p.press('Escape')
        await p.press('c')
        await s.page.locator('.cmp input[id^=to-]').waitFor()
        await s.axe(s.page, 'compose ' + name)
        await s.shot('compose-' + name.replace(' ', '-'))
        // Nothing hangs over the edge of the window.
        equal(await s.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'it fits')
        await p.press('Escape')
        await s.page.locator('.cmp').waitFor({ state: 'detached' })
        // What has the focus can be told from the rest, and read.
        const row = await s.page.evaluate(() => { const r = document.querySelector('.row.foc'), o = document.querySelector('.row:not(.foc):not(.sk)'), c = (e) => getComputedStyle(e); return { bg: c(r).backgroundColor, other: c(o).backgroundColor, text: c(r.querySelector('.from')).color } })
        assert(row.bg !== row.other && row.bg !== row.text, JSON.stringify(row))
      }
    },
  },
  {
    id: '40', name: 'from the command to a painted inbox',
    async run(s) {
      // The least of some attempts, and no stricter than the machine is quick: what starting an idle program takes says how much it has to do.
      const seen = []
      let ok = false
      for (let i = 0; i < 6 && !ok; i++) {
        const idle = performance.now()
        spawnSync(process.execPath, ['-e', '0'])
        const busy = Math.min(4, Math.max(1, (performance.now() - idle) / 80)), context = await s.browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-GB', serviceWorkers: 'block' })
        context.setDefaultTimeout(40_000)
        const page = await context.newPage(), began = performance.now(), srv = await demo()
        try {
          await page.goto(srv.url + '/')
          await page.getByText('Sign in as Ada').click()
          await page.locator('.row:not(.sk) .from').first().waitFor()
          const ms = performance.now() - began
          seen.push(`${ms.toFixed(0)} ms, of a machine ${busy.toFixed(1)} times as slow as an idle one`)
          ok = ms <= 2000 * busy
        } finally { await context.close(); await srv.stop() }
      }
      assert(ok, seen.join('; '))
      process.stderr.write(`40: ${seen.join('; ')}\n`)
      await s.signIn()
    },
  },
  {
    id: '40b', name: 'a demo says what to try: each of the six things is ticked off when it was done, and stays so', args: ['live'], dark: true,
    async run(s) {
      const p = s.page, k = p.keyboard
      await s.signIn()
      const guide = p.locator('.rb:not(.off) .guide'), ticked = () => guide.locator('li.done').count()
      // Mail comes meanwhile, so a row is looked for from the top on, and may be another one when it is clicked.
      const find = async (text) => {
        let at = 0
        await eventually(async () => {
          await p.locator('#list').evaluate((e, at) => { e.scrollTop = at }, at)
          at = (await s.row(text).count()) ? at : (at + 400) % 2000
          await s.row(text).click({ timeout: 3_000 })
          await p.locator('.rb:not(.off) h1').filter({ hasText: text }).waitFor({ timeout: 3_000 })
          return true
        }, 'open ' + text, 60_000)
        await p.locator('.rb:not(.off) iframe').first().waitFor()
      }
      const open = async () => { await find('Try these six things'); await guide.waitFor() }
      await open()
      equal([await guide.locator('li').count(), await ticked()], [6, 0], 'things, done')
      await s.axe(p, 'what to try')
      await s.body()
      await s.shot('guide')
      const undone = s.undoing('Archived')
      await p.locator('.rt').getByRole('button', { name: 'Archive' }).click()
      await undone
      await open()
      await eventually(async () => (await ticked()) === 2, 'archive and undo are ticked off')
      await p.locator('#search').fill('porto')
      await k.press('Enter')
      await eventually(() => new URL(p.url()).searchParams.get('q') === 'porto', 'the search')
      await p.locator('nav.side').getByText('Inbox', { exact: true }).click()
      await k.press('Control+k')
      await p.getByRole('dialog').waitFor()
      await k.press('Escape')
      await open()
      await eventually(async () => (await ticked()) === 4, 'search and palette are ticked off')
      await find('Lunch on Friday?')
      await s.body()
      await p.locator('.rb:not(.off) .answer').getByRole('button', { name: /^Reply/ }).first().click()
      await p.locator('.cmp .pill').first().waitFor()
      const f = await (await p.locator('.cmp iframe').elementHandle()).contentFrame()
      await f.locator('#ed').waitFor()
      await eventually(() => p.evaluate(() => document.activeElement.tagName === 'IFRAME'), 'an answer is begun in the text')
      await k.type('At one?')
      await k.press('Control+Enter')
      await p.locator('.cmp').waitFor({ state: 'detached' })
      await p.locator('.rt').getByRole('button', { name: 'Mute' }).click()
      await s.row('Lunch on Friday?').waitFor({ state: 'detached' })
      await open()
      await eventually(async () => (await ticked()) === 6, 'all are ticked off')
      await guide.getByText('All done.').waitFor()
      await s.axe(p, 'all tried')
      await eventually(async () => (await api(p, [['Settings/get', { ids: ['singleton'] }, '0']]))[0][1].list[0].values.guide?.length === 6, 'the server keeps it')
      // Some mail is there later, by itself.
      await p.locator('nav.side a', { hasText: 'Scheduled' }).click()
      await s.row('Minutes of today').waitFor()
      await p.locator('nav.side a', { hasText: 'Snoozed' }).click()
      await s.row('Kitchen quote').waitFor()
    },
  },
  { id: '40c', name: 'setup against DNS and ACME, the page of a domain, roles', pending: 'posthouse setup and the administration come with their issue; the trace of a message that was refused is scenario 10c' },
]

// Every page once more, with the colours of the system.
scenarios.push({ ...scenarios.find((x) => x.id === '39c'), id: '39d', name: 'every page and state is accessible with forced colours', dark: false, stage: { forced: true } })
