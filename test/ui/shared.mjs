// Mail of somebody else's account, as far as it is shared.
import { spawnSync } from 'node:child_process'
import { equal, eventually, imap, deliver, mail, demo, hold } from './harness.mjs'

const offline = [/Failed to load resource/, /net::ERR/]
const found = async (who, box, what) => { await who.run(`SELECT ${box}`); return ((await who.run(`SEARCH ${what}`)).match(/\* SEARCH([ \d]*)/)[1].match(/\d+/g) || []).length }
const sender = (dir, account, who) => { const { status, stderr } = spawnSync(process.env.POSTHOUSE, ['--data', dir, 'sender', 'add', account, who], { encoding: 'utf8', timeout: 30_000 }); equal(status, 0, stderr) }

export const shared = [
  {
    id: '21c', name: 'in the name of a shared account: an invitation is answered, a receipt sent; who may not send is offered neither', dark: true, keep: true,
    async run(s, srv, dir) {
      const ben = await imap(srv, 'ben@demo.test'), ada = await imap(srv), p = s.page
      await ben.run('SETACL INBOX ada@demo.test lrswite')
      const ics = ['BEGIN:VCALENDAR', 'PRODID:-//Elsewhere//Calendar//EN', 'VERSION:2.0', 'METHOD:REQUEST', 'BEGIN:VEVENT', 'UID:boat-1@demo.test', 'SEQUENCE:0', 'DTSTAMP:20260101T100000Z', 'DTSTART:20400302T090000Z', 'DTEND:20400302T094500Z', 'SUMMARY:Boat inspection',
        'ORGANIZER;CN=Ada:mailto:ada@demo.test', 'ATTENDEE;CN="Ben";PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:ben@demo.test', 'END:VEVENT', 'END:VCALENDAR', ''].join('\r\n')
      await ben.append('INBOX', mail({ headers: { From: 'Ada <ada@demo.test>', To: 'ben@demo.test', Subject: 'Invitation: Boat inspection', 'Content-Type': 'multipart/alternative; boundary=b1' }, text: '' }).replace(/Content-Type: text\/plain[^]*$/, '') +
        `\r\n--b1\r\nContent-Type: text/plain\r\n\r\nYou are invited.\r\n--b1\r\nContent-Type: text/calendar; charset=utf-8; method=REQUEST\r\n\r\n${ics}\r\n--b1--\r\n`)
      await ben.append('INBOX', mail({ headers: { From: 'Ada <ada@demo.test>', To: 'ben@demo.test', Subject: 'Did the office read it', 'Disposition-Notification-To': '<ada@demo.test>', 'List-Unsubscribe': '<mailto:off@lists.example>' } }))
      await s.signIn()
      const box = p.getByRole('navigation', { name: 'Mailboxes' })
      await box.getByRole('heading', { name: 'ben@demo.test' }).waitFor()
      const theirs = () => box.getByRole('link', { name: /^Inbox/ }).nth(1).click()
      const open = p.locator('.rb:not(.off)')
      await theirs()
      await s.openRow('Invitation: Boat inspection')
      await open.locator('.inv').getByText('Boat inspection').waitFor()
      equal(await open.locator('.inv').getByRole('button', { name: 'Yes' }).count(), 0, 'who may not send as Ben does not answer for him')
      await s.openRow('Did the office read it')
      await s.body()
      equal(await open.getByRole('button', { name: 'Tell them' }).count(), 0, 'nor tells that it was read')
      sender(dir, 'ben@demo.test', 'ada@demo.test')
      await p.reload()
      await box.getByRole('heading', { name: 'ben@demo.test' }).waitFor()
      await theirs()
      await s.openRow('Invitation: Boat inspection')
      await open.locator('.inv').getByRole('button', { name: 'Yes' }).click()
      await open.locator('.inv').getByText('You accepted.').waitFor()
      await s.shot('answered')
      await s.axe(p, 'answered')
      await eventually(async () => (await found(ada, 'INBOX', 'SUBJECT "Accepted: Boat inspection" FROM "ben@demo.test"')) === 1, 'the answer is from Ben')
      await eventually(async () => (await found(ben, 'INBOX', 'SUBJECT "Invitation: Boat inspection" KEYWORD $rsvp-accepted')) === 1, 'and is noted in his mailbox')
      await s.openRow('Did the office read it')
      await open.getByRole('button', { name: 'Unsubscribe' }).waitFor()
      await open.getByRole('button', { name: 'Tell them' }).click()
      await p.locator('.toast', { hasText: 'The sender is told' }).waitFor()
      await eventually(async () => (await found(ada, 'INBOX', 'SUBJECT "Read: Did the office read it" FROM "ben@demo.test"')) === 1, 'the receipt is from Ben')
      ada.end(); ben.end()
    },
  },
  {
    id: '38c', name: 'what others share is there without the server, too: read, acted on; and gone with the share', dark: true, phone: true, keep: true, stage: { worker: true }, allow: [...offline, /EventSource|502|Failed to fetch|404 .*\/r\/A\d+/],
    async run(s, srv, dir) {
      const ben = await imap(srv, 'ben@demo.test'), p = s.page
      for (const box of ['INBOX', 'Archive', 'Trash']) await ben.run(`SETACL ${box} ada@demo.test lrswite`)
      await deliver(srv, mail({ headers: { Subject: 'Lift inspection', To: 'ben@demo.test' }, text: 'On Thursday at nine.' }), 'ben@demo.test')
      await deliver(srv, mail({ headers: { Subject: 'Boiler inspection', To: 'ben@demo.test' }, text: 'On Friday.' }), 'ben@demo.test')
      await s.signIn()
      const box = p.getByRole('navigation', { name: 'Mailboxes' }), side = async (link) => { if (s.o.phone) await p.getByRole('button', { name: 'Mailboxes', exact: true }).click(); await link.click() }
      await p.evaluate(() => navigator.serviceWorker.ready.then(() => null))
      await eventually(() => p.evaluate(() => !!navigator.serviceWorker.controller), 'the worker is there')
      await eventually(async () => (await p.locator('nav.side').getByText('ben@demo.test').count()) > 0, 'it is shared')
      await side(box.getByRole('link', { name: /^Inbox/ }).nth(1))
      await s.openRow('Lift inspection')
      await s.body()
      const kept = (what, f) => p.evaluate(async ([what, f]) => {
        const name = (await indexedDB.databases()).find((d) => /^mail-A\d+$/.test(d.name))?.name
        const db = await new Promise((r) => { const q = indexedDB.open(name); q.onsuccess = () => r(q.result) })
        const keys = await new Promise((r) => { const q = db.transaction(what).objectStore(what).getAllKeys(); q.onsuccess = () => r(q.result) })
        db.close()
        return keys.filter((k) => String(k).startsWith(f)).length
      }, [what, f])
      const account = decodeURIComponent(new URL(p.url()).pathname).match(/A\d+(?=~)/)[0]
      await eventually(async () => (await kept('lists', account + '~')) > 0 && (await p.evaluate(async (a) => (await (await caches.open('bodies')).keys()).some((r) => r.url.includes(`/r/${a}/`)), account)), 'list and message are kept')
      await srv.stop('SIGKILL')
      const release = await hold(srv.base)
      await p.goto(srv.url + '/')
      await p.locator('.row:not(.sk) .from').first().waitFor()
      await p.getByText(/^Offline\. This is your mail/).waitFor()
      await side(box.getByRole('link', { name: /^Inbox/ }).nth(1))
      await s.row('Lift inspection').waitFor()
      await s.row('Lift inspection').click()
      await p.locator('.rb:not(.off) h1').filter({ hasText: 'Lift inspection' }).waitFor()
      equal((await (await s.body()).locator('body').textContent()).includes('On Thursday at nine.'), true, 'it is read')
      await s.shot('shared offline')
      await s.axe(p, 'shared offline')
      await p.keyboard.press('e')
      await eventually(async () => !(await s.subjects()).includes('Lift inspection'), 'archived')
      await side(box.getByRole('link', { name: /All inboxes/ }))
      await eventually(async () => { const l = await s.subjects(); return l.includes('Boiler inspection') && !l.includes('Lift inspection') && l.length > 3 }, 'of both as one')
      await release()
      srv.current = await demo(['--keep', dir, '--port-base', String(srv.base)])
      const again = await imap(srv, 'ben@demo.test')
      await eventually(async () => (await found(again, 'Archive', 'SUBJECT "Lift inspection"')) === 1, 'and at the server, in his account')
      for (const box of ['INBOX', 'Archive', 'Trash']) await again.run(`DELETEACL ${box} ada@demo.test`)
      await eventually(async () => { await p.evaluate(() => window.dispatchEvent(new Event('focus'))); return (await kept('emails', account + '~')) === 0 && (await kept('lists', account + '~')) === 0 }, 'nothing of it is kept')
      ben.end(); again.end()
    },
  },
  {
    id: '36c', name: 'all inboxes as one, thousands down: at once, in order, also when mail comes and goes meanwhile', dark: true,
    async run(s, srv) {
      const ben = await imap(srv, 'ben@demo.test'), ada = await imap(srv), p = s.page, n = 2400
      for (const box of ['INBOX', 'Archive', 'Trash']) await ben.run(`SETACL ${box} ada@demo.test lrswite`)
      // Number g is the g-th newest of both; of each three one is Ben's.
      const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'], two = (x) => String(x).padStart(2, '0')
      const put = (who, list) => who.many('INBOX', list.length, (i) => `From: Sender <s${list[i] % 97}@elsewhere.example>\r\nTo: all@demo.test\r\nSubject: Number ${list[i]} of all\r\nMessage-ID: <deep${list[i]}@elsewhere.example>\r\n\r\nBody\r\n`,
        (i) => { const d = new Date(Date.UTC(2020, 5, 1) - list[i] * 36e5); return `${two(d.getUTCDate())}-${months[d.getUTCMonth()]}-${d.getUTCFullYear()} ${two(d.getUTCHours())}:00:00 +0000` })
      const all = Array.from({ length: n }, (_, i) => i)
      await put(ada, all.filter((g) => g % 3))
      await put(ben, all.filter((g) => g % 3 === 0))
      await s.signIn()
      await p.getByRole('navigation', { name: 'Mailboxes' }).getByRole('link', { name: /All inboxes/ }).click()
      const count = () => p.locator('#list').getAttribute('aria-rowcount').then(Number)
      await eventually(async () => (await count()) > n, 'all are counted')
      const shown = (what) => eventually(() => p.evaluate(() => {
        const v = document.getElementById('list').getBoundingClientRect(), here = [...document.querySelectorAll('#list .row')].map((r) => ({ i: +r.getAttribute('aria-rowindex') - 1, y: r.getBoundingClientRect(), sk: r.classList.contains('sk'), text: r.querySelector('.sub b')?.textContent })).filter((r) => r.y.top >= v.top && r.y.bottom <= v.bottom).sort((a, b) => a.y.top - b.y.top)
        return here.length >= 8 && here.every((r, k) => !r.sk && r.i === here[0].i + k) ? here.map((r) => [r.i, +(r.text.match(/Number (\d+)/)?.[1] ?? -1)]) : null
      }), what)
      const at = (part) => p.evaluate((part) => { const v = document.getElementById('list'); v.scrollTop = (v.scrollHeight - v.clientHeight) * part }, part)
      for (const part of [0.9, 0.5, 1, 0.2, 0.7]) {
        s.requests.length = 0
        await at(part)
        const rows = await shown('rows at ' + part), before = (await count()) - n
        equal(rows.map((r) => r[1]), rows.map((r) => r[0] - before), 'in order, at their places')
        const asked = s.requests.filter((r) => /\/jmap\/api$/.test(r.url())).length
        equal(asked <= 45, true, `${asked} requests for it`)
      }
      await s.shot('deep')
      await s.axe(p, 'deep')
      // New mail, and a row that goes and comes back.
      const total = await count()
      await deliver(srv, mail({ headers: { Subject: 'Meanwhile', To: 'ben@demo.test' } }), 'ben@demo.test')
      await deliver(srv, mail({ headers: { Subject: 'Meanwhile, too' } }))
      await eventually(async () => (await count()) === total + 2 && (await found(ada, 'INBOX', 'SUBJECT "Meanwhile, too"')) === 1, 'they came')
      const rows = await shown('rows after new mail'), first = rows[3][1]
      equal(rows.map((r) => r[1]), rows.map((_, k) => rows[0][1] + k), 'in order still')
      await s.row(`Number ${first} of all`).hover()
      await s.row(`Number ${first} of all`).getByRole('button', { name: 'Archive' }).click()
      await eventually(async () => !(await shown('rows')).some((r) => r[1] === first), 'it leaves')
      const less = (await shown('rows without it')).map((r) => r[1])
      equal(less, less.map((_, k) => less[0] + k + (less[0] < first && less[0] + k >= first ? 1 : 0)), 'the others close up')
      await p.keyboard.press('z')
      await eventually(async () => (await shown('rows')).some((r) => r[1] === first), 'undone')
      ada.end(); ben.end()
    },
  },
]
