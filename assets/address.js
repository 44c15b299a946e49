// The tab, its choices and its photo, and the leaderboard's view stand in the address: Back, Forward and reload keep them,
// and what is copied from the address bar is a link. An uploaded photo cannot be in it.
(() => {
  // With a base, plotly names its own clips and gradients by the address at which they were drawn, and a figure loses its
  // lines under another one. A base that says what the address says anyway can go; with another one the address stays.
  const base = document.querySelector('base[href]');
  if (base && base.href === new URL('.', location.href).href) base.removeAttribute('href');
  const stays = !!document.querySelector('base[href]');

  let leaderboard = window.meanOpinion.opening;
  const owed = new Set();  // tabs whose photo is asked about once the address's choices are there
  // When its view was left by Back or Forward. Until the answer is there, what is drawn is of the view that is left: a
  // dropdown tells its value as it loses the focus to the browser's button.
  let left = -Infinity;
  const chosen = {};  // tab -> [[name, text]] of what differs from the page's own choices
  let photo = '', uploaded = false;  // the photo in sight: its name in the address, or that it has none

  const read = (search) => new URLSearchParams(search);
  const tabOf = (search) => read(search).get('tab') ?? 'score';
  const tabs = (id) => document.querySelectorAll(`.rooms > .tab-wrapper [role=tab][data-tab-id="${CSS.escape(id)}"]`);
  const inSight = (id) => [...tabs(id)].some((tab) => tab.ariaSelected === 'true');
  const current = () => document.querySelector('.rooms > .tab-wrapper [role=tab][aria-selected=true]')?.dataset.tabId;
  const takesPhoto = (id) => !!document.getElementById(`${id.replaceAll('_', '-')}-picture`);
  // The tab inside a tab, where it has a name and is not the first: what is open is what the page shows.
  const MODES = '.rooms .tabitem [role=tab]:not([data-tab-id=""])', named = (tab) => /^[a-z][a-z-]*$/.test(tab.dataset.tabId);
  const modes = {};
  const modeOf = (id) => {
    const all = id === current() ? [...document.querySelectorAll(MODES)].filter((tab) => tab.offsetParent && named(tab)) : [];
    const open = all.findIndex((tab) => tab.ariaSelected === 'true');
    if (open >= 0) modes[id] = open ? all[open].dataset.tabId : '';
    return modes[id] ?? '';
  };
  const queryOf = (id) => {
    if (id === 'leaderboard') return leaderboard;
    const mode = modeOf(id);
    const parts = [['tab', id], ...(mode ? [['mode', mode]] : []), ...(chosen[id] ?? []), ...(photo && takesPhoto(id) ? [['photo', photo]] : [])];
    return '?' + parts.map(([name, text]) => `${name}=${encodeURIComponent(text).replace(/%(2C|3A|2F)/g, decodeURIComponent)}`)
      .join('&');
  };
  const themed = (query) => {
    const theme = read(location.search).get('__theme');
    return theme ? `${query}&__theme=${encodeURIComponent(theme)}` : query;
  };
  const without = (search, ...names) => {
    const parts = read(search);
    for (const name of ['__theme', 'rev', ...names]) parts.delete(name);
    return parts.toString();
  };
  const write = (id, again = false) => {
    const query = themed(queryOf(id)), own = uploaded && takesPhoto(id);
    if (stays || (query === location.search && own === !!history.state?.uploaded)) return;
    history[again ? 'replaceState' : 'pushState']({uploaded: own}, '', location.pathname + query);
  };

  let here = false;  // a click of this script's own is no step
  const choose = (id) => {
    const tab = [...tabs(id)].find((one) => one.offsetParent);
    if (tab && !inSight(id)) {
      here = true;
      tab.click();
      here = false;
    }
    return !!tab;
  };

  // What the address says beyond its tab: of a choice, a photo, or nothing that is known.
  const wants = () => {
    const names = [...read(location.search).keys()].filter((name) => !name.startsWith('__') && name !== 'tab');
    return names.length > 0 || !tabs(tabOf(location.search)).length || history.state?.uploaded;
  };
  // Until the answer is there, the controls hold what is being undone; a dropdown that loses its focus tells of it.
  let asked = [];
  const restoring = () => (asked = asked.filter((time) => performance.now() - time < 5000)).length > 0;
  const restore = () => {
    asked.push(performance.now());
    const parts = [...read(location.search)].filter(([name]) => !name.startsWith('__') && name !== 'tab');
    const id = tabOf(location.search);
    const named = parts.find(([name]) => name === 'photo')?.[1] ?? '';
    const lost = !!history.state?.uploaded && !uploaded;
    // An uploaded photo stays where an address says nothing of a photo.
    const same = named === photo;
    chosen[id] = parts.filter(([name]) => name !== 'photo' && name !== 'mode');
    if (!same) {
      uploaded = false;
      window.meanOpinion.drop(id.replaceAll('_', '-'));
    }
    if (takesPhoto(id)) photo = named;
    window.dispatchEvent(new CustomEvent('mean-opinion-choices', {
      detail: {query: location.search, same, uploaded: lost}}));
  };

  const text = (value) => {
    if (Array.isArray(value)) return value.map(text).sort().join(',');
    if (typeof value === 'boolean') return String(Number(value));
    return value === null || value === undefined ? 'none' : String(value);
  };

  Object.assign(window.meanOpinion, {
    // The leaderboard's view, when the page has opened.
    know: (query) => { leaderboard = query; },
    // The same after a choice: a step back undoes it. Words that are being typed are one step.
    show: (query) => {
      if (performance.now() - left < 5000) return;
      leaderboard = query;
      if (inSight('leaderboard')) write('leaderboard', without(query, 'q') === without(location.search, 'q'));
    },
    // The view of Back or Forward is drawn.
    back: (query) => {
      left = -Infinity;
      leaderboard = query;
    },
    // The choices of another tab, `spec` being the name, the page's own value and whether it is typed. Options of a method
    // that is not chosen stay out.
    chose: (id, spec, values) => {
      if (restoring()) return;
      const all = spec.map(([name, own], index) => [name, text(values[index]), text(own)]);
      const methods = all.filter(([name]) => name === 'method' || name.endsWith('methods')).flatMap(([, now]) => now.split(','));
      const counts = ([name]) => !name.includes('.') || methods.includes(name.split('.')[0]);
      const before = new Map(chosen[id]);
      chosen[id] = all.filter((one) => one[1] !== one[2] && counts(one)).map(([name, now]) => [name, now]);
      const after = new Map(chosen[id]);
      const changed = spec.filter(([name]) => before.get(name) !== after.get(name));
      const one = changed.length === 1 && changed[0][2] ? changed[0][0] : null;
      // Further steps of one slider are one step; the first of them is its own.
      if (inSight(id)) write(id, !!one && read(location.search).has(one) && after.has(one));
    },
    // The photo that a visitor has put into an input: a file, or none.
    lies: (file) => {
      photo = '';
      uploaded = !!file;
      write(current());
    },
    // One that was fetched or pasted has come: a web address, {} for a file, null for several.
    came: () => {
      const coming = window.meanOpinion.coming;
      if (coming) {
        photo = typeof coming === 'string' ? coming : '';
        uploaded = !photo;
      }
      requestAnimationFrame(() => write(current()));
    },
    // Ends what is asked of the photo before; see ends_with in ui/components/photo.py.
    drop: (tab) => {
      document.getElementById(`${tab}-drop`)?.click();
    },
    // Asks of a photo that the page has put there itself, with the choices in sight.
    press: (tab) => {
      window.meanOpinion.drop(tab);
      if (restoring()) owed.add(tab);
      else document.getElementById(`${tab}-run`)?.click();
    },
    // What of an address was understood: the next one holds no more.
    restored: (id, words, name, asks) => {
      asked.shift();
      chosen[id] = words;
      if (takesPhoto(id)) photo = name;
      const tab = id.replaceAll('_', '-');
      if (owed.delete(tab) || asks) window.meanOpinion.press(tab);
    },
    // The page can be asked.
    opened: () => {
      const parts = read(location.search);
      if (tabOf(location.search) !== 'leaderboard' && !parts.has('share') && wants()) restore();
    },
  });

  document.addEventListener('click', (event) => {
    const id = !here && event.target.closest?.('.rooms > .tab-wrapper [role=tab]')?.dataset.tabId;
    if (id) write(id);
    const mode = !here && event.target.closest?.(MODES);
    if (mode && named(mode)) {
      // Several sets of the same tabs, as of languages, go together.
      here = true;
      for (const tab of document.querySelectorAll(MODES)) {
        if (tab !== mode && tab.offsetParent && tab.dataset.tabId === mode.dataset.tabId && tab.ariaSelected !== 'true') tab.click();
      }
      here = false;
      requestAnimationFrame(() => write(current()));
    }
    const example = event.target.closest?.('.examples button.gallery-item')?.querySelector('img');
    if (example) {
      photo = decodeURIComponent(new URL(example.src).pathname.split('/').pop());
      uploaded = false;
      write(current());
    }
  });
  window.addEventListener('popstate', () => {
    const id = tabOf(location.search);
    choose(id);
    if (id === 'leaderboard') {
      if (location.search === themed(leaderboard)) return;
      leaderboard = location.search;
      left = performance.now();
      window.dispatchEvent(new CustomEvent('mean-opinion-address', {detail: location.search}));
    } else if (without(location.search) !== without(queryOf(id), '__theme') || !!history.state?.uploaded !== uploaded) restore();
  });

  // The page is drawn after this.
  const wanted = read(location.search).get('tab');
  if (wanted && wanted !== 'leaderboard') {
    const watch = new MutationObserver(() => { if (choose(wanted)) watch.disconnect(); });
    watch.observe(document.documentElement, {childList: true, subtree: true});
    setTimeout(() => watch.disconnect(), 60000);
  }
})();
