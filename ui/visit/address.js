// What the address says of a tab's choices and photo goes to the server: when the page opens, and at Back and Forward.
window.addEventListener('mean-opinion-choices', (event) => trigger('input', event.detail));
window.meanOpinion?.opened();
