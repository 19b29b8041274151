import './app.css'
import { mount } from 'svelte'
import App from './views/App.svelte'
import { applyTheme } from './store/settings.svelte'
import { loadWords } from './kit/i18n'

applyTheme()
loadWords().finally(() => mount(App, { target: document.getElementById('app')! }))
