import './app.css'
import { mount } from 'svelte'
import App from './views/App.svelte'
import { applyTheme } from './store/settings.svelte'
import { loadWords } from './kit/i18n'
import { boot } from './jmap/client'
import * as cache from './store/cache'

applyTheme()
// While the first picture is made, where what is kept here is of the one who has logged in.
if (boot.account && (localStorage.getItem('session') || '').includes(`"${boot.account}"`)) cache.open(boot.account)
loadWords().finally(() => mount(App, { target: document.getElementById('app')! }))
