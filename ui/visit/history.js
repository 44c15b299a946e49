// The last results of this visit, kept in this browser alone: sessionStorage ends with the browser's tab. A small copy of
// the photo is made here; nothing is sent anywhere.
{
  const KEY = 'mean-opinion-results', MOST = 20, SIDE = 128;
  const strip = element.querySelector('.results-strip'), list = strip.querySelector('ol');
  const dialog = element.querySelector('dialog');
  let results = [];
  try { results = JSON.parse(sessionStorage.getItem(KEY) ?? '[]'); } catch { results = []; }

  const keep = () => {
    // A full store loses its oldest results first.
    for (results = results.slice(0, MOST); ; results.pop()) {
      try { sessionStorage.setItem(KEY, JSON.stringify(results)); return; } catch { if (!results.length) return; }
    }
  };
  const made = (name, properties, ...children) => {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  };
  const picture = (one) => one.thumbnail ? made('img', {src: one.thumbnail, alt: ''}) : made('i', {className: 'no-picture'});
  const draw = () => {
    strip.hidden = !results.length;
    list.replaceChildren(...results.map((one) => {
      const button = made('button', {type: 'button'}, picture(one), made('strong', {textContent: one.value}),
        made('span', {textContent: one.title}));
      button.setAttribute('aria-label', `${one.title}: ${one.spoken}. Open the record`);
      button.addEventListener('click', () => open(one));
      return made('li', {}, button);
    }));
  };
  const open = (one) => {
    const dial = document.createElement('template');
    dial.innerHTML = one.dial;  // drawn by the server from numbers alone
    dialog.querySelector('.kept-result').replaceChildren(
      made('h3', {textContent: one.title}), picture(one), dial.content,
      made('p', {className: 'kept-words', textContent: one.words}),
      made('pre', {textContent: JSON.stringify(one.record, null, 2)}));
    dialog.showModal();
  };
  strip.querySelector('.clear-results').addEventListener('click', () => { results = []; keep(); draw(); });
  dialog.querySelector('.close-result').addEventListener('click', () => dialog.close());
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });

  // Of the tab that the result lies in, which need not be the one in sight any more.
  const photoOf = (verdict) => verdict.closest('[role=tabpanel]')?.querySelector('[id$="-picture"] img');
  // The folder that a photo lies in on the server is named by what is in it.
  const named = (image) => /\/([0-9a-f]{64})\//.exec(image?.src ?? '')?.[1] ?? '';
  const small = async (image) => {
    if (!image) return '';
    try {
      await image.decode();
      const scale = Math.min(1, SIDE / Math.max(image.naturalWidth, image.naturalHeight));
      const canvas = made('canvas', {width: Math.max(1, Math.round(image.naturalWidth * scale)),
                                     height: Math.max(1, Math.round(image.naturalHeight * scale))});
      canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
      return canvas.toDataURL('image/jpeg', 0.8);
    } catch { return ''; }  // a kind of photo that browsers do not show
  };
  const add = async (verdict) => {
    const text = verdict.dataset.result;
    verdict.dataset.kept = 'yes';
    if (results.some((one) => one.text === text)) return;
    const dial = verdict.querySelector('.dial').outerHTML, image = photoOf(verdict), kept = JSON.parse(text);
    const photo = named(image), thumbnail = await small(image);
    // A photo that the same system scores once more stands there once.
    results = results.filter((one) => one.system !== kept.system || !photo || one.photo !== photo);
    results.unshift({...kept, text, dial, photo, thumbnail});
    keep();
    draw();
  };
  new MutationObserver(() => document.querySelectorAll('.verdict[data-result]:not([data-kept])').forEach(add))
    .observe(document.body, {childList: true, subtree: true});
  draw();
}
