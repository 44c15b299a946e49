// Photos that are pasted or dropped anywhere on the page, or named by a web address: one goes to the tab in sight, several
// to the folder mode. They are uploaded like those of an input, and the server says where they go.
{
  const MOST = 500, AT_ONCE = 6;
  const line = element.querySelector('.arriving');
  const tab = () => document.querySelector('.rooms [role=tab][aria-selected="true"]')?.textContent.trim() ?? '';
  const isPhoto = (file) => file.type.startsWith('image/') || /\.(heic|heif|avif|tiff?|zip)$/i.test(file.name);
  const isAddress = (text) => /^https?:\/\/\S+$/.test(text);

  const take = async (files) => {
    const photos = files.filter(isPhoto);
    if (!photos.length) { trigger('upload', {problem: 'kind', tab: tab()}); return; }
    if (photos.length > MOST) { trigger('upload', {problem: 'many', tab: tab()}); return; }
    const paths = [];
    try {
      for (let start = 0; start < photos.length; start += AT_ONCE) {
        line.textContent = photos.length > 1 ? `${start} of ${photos.length} photos are here` : 'Your photo is on its way';
        const some = await Promise.all(photos.slice(start, start + AT_ONCE).map((photo) => upload(photo)));
        paths.push(...some.map((file) => file.path));
      }
      window.meanOpinion.coming = photos.length > 1 || /\.zip$/i.test(photos[0].name) ? null : {};
      trigger('upload', {paths, tab: tab()});
    } catch {
      trigger('upload', {problem: 'upload', tab: tab()});
    } finally {
      line.textContent = '';
    }
  };

  // The files of a drop, those inside dropped folders too.
  const inside = async (entry) => {
    if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
    const reader = entry.createReader(), files = [];
    for (;;) {  // a reader gives a hundred entries at a time
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return files;
      for (const one of some) files.push(...await inside(one));
    }
  };

  document.addEventListener('paste', (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    const text = event.clipboardData?.getData('text/plain').trim() ?? '';
    const typing = event.target.closest?.('input, textarea, [contenteditable="true"]');
    if (files.some(isPhoto)) { event.preventDefault(); take(files); }
    else if (!typing && isAddress(text)) {
      event.preventDefault();
      window.meanOpinion.coming = text;
      trigger('upload', {address: text, tab: tab()});
    }
  });

  const carriesFiles = (event) => event.dataTransfer?.types.includes('Files');
  document.addEventListener('dragover', (event) => { if (carriesFiles(event)) event.preventDefault(); });
  document.addEventListener('drop', async (event) => {
    if (!carriesFiles(event)) return;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = [...event.dataTransfer.files];
    // An empty input that takes what was dropped on it goes first.
    const input = event.target.closest?.('button')?.querySelector('input[type=file]');
    if (input && (files.length === 1 || input.multiple) && entries.every((entry) => entry.isFile)) return;
    event.preventDefault();
    event.stopPropagation();
    take(entries.length ? (await Promise.all(entries.map(inside))).flat() : files);
  }, true);
}
