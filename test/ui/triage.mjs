// Undo, and what is undone: beyond a reload, of times. Ways through the panes; what is in Junk.
import { equal, eventually, imap, deliver, mail } from './harness.mjs'

const found = async (who, box, what) => { await who.run(`SELECT ${box}`); return ((await who.run(`SEARCH ${what}`)).match(/\* SEARCH([ \d]*)/)[1].match(/\d+/g) || []).length }

export const triage = [
  {
    id: '13b', name: 'what was done is undone after a reload, too', dark: true,
    async run(s, srv) {
      const p = await s.signIn(), before = (await s.subjects()).slice(0, 5), other = await imap(srv)
      await p.keyboard.press('s')
      await p.keyboard.press('e')
      await p.keyboard.press('#')
      await eventually(async () => (await s.subjects())[0] === before[2], 'two are gone')
      await eventually(async () => (await found(other, 'Trash', `SUBJECT "${before[1].slice(0, 20)}"`)) === 1, 'at the server, too')
      await p.reload()
      await s.row(before[2]).waitFor()
      await p.keyboard.press('z')
      await s.row(before[1]).waitFor()
      await p.keyboard.press('z')
      await s.row(before[0]).waitFor()
      await eventually(async () => JSON.stringify((await s.subjects()).slice(0, 5)) === JSON.stringify(before), 'the list as it was')
      await p.keyboard.press('z')
      await eventually(async () => (await found(other, 'INBOX', 'FLAGGED')) === 0 || !/FLAGGED/.test(before[0]), 'the star, too')
      await eventually(async () => (await found(other, 'Trash', `SUBJECT "${before[1].slice(0, 20)}"`)) === 0, 'nothing is left in the trash')
      await p.keyboard.press('Shift+Z')
      await p.keyboard.press('Shift+Z')
      await eventually(async () => (await s.subjects())[0] === before[1], 'and done again')
      other.end()
    },
  },
  {
    id: '18b', name: 'put off until a time that one types or chooses; another time, undone, is the one before', dark: true,
    async run(s, srv) {
      const p = await s.signIn(), other = await imap(srv), [first, second, third] = await s.subjects()
      const until = () => p.evaluate(async () => {
        const headers = { 'Content-Type': 'application/json', 'X-Posthouse-Client': '1' }, { primaryAccounts, capabilities } = await (await fetch('/jmap/session', { headers })).json(), accountId = primaryAccounts['urn:ietf:params:jmap:mail']
        const { methodResponses: r } = await (await fetch('/jmap/api', { method: 'POST', headers, body: JSON.stringify({ using: Object.keys(capabilities), methodCalls: [['Mailbox/get', { accountId, ids: null }, 'm']] }) })).json()
        const box = r[0][1].list.find((b) => b.name === 'Snoozed')?.id
        if (!box) return []
        const { methodResponses: x } = await (await fetch('/jmap/api', { method: 'POST', headers, body: JSON.stringify({ using: Object.keys(capabilities), methodCalls: [['Email/query', { accountId, filter: { inMailbox: box } }, 'q'], ['Email/get', { accountId, '#ids': { resultOf: 'q', name: 'Email/query', path: '/ids' }, properties: ['subject', 'snoozed'] }, 'g']] }) })).json()
        return x[1][1].list.map((e) => [e.subject, e.snoozed?.until])
      })
      const at = async (subject) => (await until()).find((x) => x[0] === subject)?.[1]
      const day = (n) => new Intl.DateTimeFormat('sv-SE', { timeZone: 'Europe/Berlin' }).format(new Date(Date.now() + n * 864e5)), local = (iso) => new Intl.DateTimeFormat('sv-SE', { timeZone: 'Europe/Berlin', dateStyle: 'short', timeStyle: 'short' }).format(new Date(iso))
      await p.keyboard.press('h')
      await p.keyboard.type('tomorrow 14:30')
      await s.shot('typed')
      await s.axe(p, 'a time that was typed')
      await p.keyboard.press('Enter')
      await eventually(async () => { const x = await at(first); return x && local(x) === `${day(1)} 14:30` }, 'until half past two')
      // In the palette, with what it is about.
      await p.keyboard.press('Control+k')
      await p.keyboard.type(`snooze ${day(40)} 9`)
      await p.keyboard.press('Enter')
      await eventually(async () => { const x = await at(second); return x && local(x) === `${day(40)} 09:00` }, 'until nine in forty days')
      await p.keyboard.press('h')
      await p.getByRole('option', { name: 'At another time' }).click()
      await p.locator('#when').fill(`${day(3)}T07:15`)
      await s.axe(p, 'a time that is chosen')
      await p.getByRole('dialog', { name: 'Snooze…' }).getByRole('button', { name: 'Snooze', exact: true }).click()
      await eventually(async () => { const x = await at(third); return x && local(x) === `${day(3)} 07:15` }, 'until a quarter past seven')
      // Put off once more, and undone.
      await p.locator('nav.side a', { hasText: 'Snoozed' }).click()
      await s.openRow(first)
      await p.keyboard.press('h')
      await p.keyboard.type('5d')
      await p.keyboard.press('Enter')
      await eventually(async () => { const x = await at(first); return x && Math.abs(+new Date(x) - Date.now() - 5 * 864e5) < 9e5 }, 'five days')
      await p.keyboard.press('z')
      await eventually(async () => { const x = await at(first); return x && local(x) === `${day(1)} 14:30` }, 'until half past two again')
      other.end()
    },
  },
  {
    id: '39e', name: 'F6 goes round the panes, and what is in Junk is not unsubscribed from, and comes back', dark: true,
    async run(s, srv) {
      await deliver(srv, mail({ headers: { Subject: 'A list of a spammer', 'List-Unsubscribe': '<https://list.elsewhere.example/u/1>', 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' } }))
      const p = await s.signIn(), unsubscribe = p.locator('.rb:not(.off)').getByRole('button', { name: 'Unsubscribe' })
      await s.openRow('A list of a spammer')
      await unsubscribe.waitFor()
      const at = (pane) => eventually(() => p.evaluate((pane) => !!document.activeElement.closest(pane), pane), `the focus is in ${pane}`)
      await p.locator('#list').focus()
      for (const [key, pane] of [['F6', 'main.read'], ['F6', 'nav.side'], ['F6', 'section.list'], ['Shift+F6', 'nav.side'], ['Shift+F6', 'main.read'], ['Shift+F6', 'section.list']]) {
        await p.keyboard.press(key)
        await at(pane)
      }
      await p.keyboard.press('/') // out of a field, too
      await at('input')
      await p.keyboard.press('F6')
      await at('nav.side')
      await p.locator('#list').focus()
      await p.keyboard.press('!')
      await eventually(async () => !(await s.subjects()).includes('A list of a spammer'), 'it left')
      await p.keyboard.press('g')
      await p.keyboard.press('j')
      await s.openRow('A list of a spammer')
      await s.body()
      equal(await unsubscribe.count(), 0, 'nothing to unsubscribe from')
      await s.shot('junk')
      await s.axe(p, 'junk')
      await p.locator('.rb:not(.off)').getByRole('button', { name: 'Not junk' }).click()
      await eventually(async () => !(await s.subjects()).includes('A list of a spammer'), 'it left Junk')
      await p.keyboard.press('g')
      await p.keyboard.press('i')
      await s.openRow('A list of a spammer')
      await unsubscribe.waitFor()
    },
  },
]
