// The tab and the leaderboard's view stand in the address: Back, Forward and reload keep them, and what is copied from the
// address bar is a link.
(() => {
  // With a base, plotly names its own clips and gradients by the address at which they were drawn, and a figure loses its
  // lines under another one. A base that says what the address says anyway can go; with another one the address stays.
  const base = document.querySelector('base[href]');
  if (base && base.href === new URL('.', location.href).href) base.removeAttribute('href');
  const stays = !!document.querySelector('base[href]');

  const queries = {leaderboard: window.meanOpinion.opening};
  const tabOf = (search) => new URLSearchParams(search).get('tab') ?? 'score';
  const tabs = (id) => document.querySelectorAll(`.rooms [role=tab][data-tab-id="${CSS.escape(id)}"]`);
  const inSight = (id) => [...tabs(id)].some((tab) => tab.ariaSelected === 'true');
  const themed = (query) => {
    const theme = new URLSearchParams(location.search).get('__theme');
    return theme ? `${query}&__theme=${encodeURIComponent(theme)}` : query;
  };
  const bare = (search) => {
    const parts = new URLSearchParams(search);
    for (const name of ['__theme', 'rev', 'q']) parts.delete(name);
    return parts.toString();
  };
  const write = (query, again = false) => {
    if (stays || themed(query) === location.search) return;
    history[again ? 'replaceState' : 'pushState'](null, '', location.pathname + themed(query));
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

  Object.assign(window.meanOpinion, {
    // The leaderboard's view, when the page has opened.
    know: (query) => { queries.leaderboard = query; },
    // The same after a choice: a step back undoes it. Words that are being typed are one step.
    show: (query) => {
      queries.leaderboard = query;
      if (inSight('leaderboard')) write(query, bare(query) === bare(location.search));
    },
  });

  document.addEventListener('click', (event) => {
    const id = !here && event.target.closest?.('.rooms > .tab-wrapper [role=tab]')?.dataset.tabId;
    if (id) write(queries[id] ?? `?tab=${id}`);
  });
  window.addEventListener('popstate', () => {
    const id = tabOf(location.search);
    choose(id);
    if (id === 'leaderboard' && location.search !== themed(queries.leaderboard ?? '')) {
      queries.leaderboard = location.search;
      window.dispatchEvent(new CustomEvent('mean-opinion-address', {detail: location.search}));
    }
  });

  // The page is drawn after this.
  const wanted = new URLSearchParams(location.search).get('tab');
  if (wanted && wanted !== 'leaderboard') {
    const watch = new MutationObserver(() => { if (choose(wanted)) watch.disconnect(); });
    watch.observe(document.documentElement, {childList: true, subtree: true});
    setTimeout(() => watch.disconnect(), 60000);
  }
})();
