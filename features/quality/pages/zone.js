for (const t of document.querySelectorAll("time[datetime]")) {
  const d = new Date(t.dateTime);
  if (d.getTimezoneOffset()) {
    const s = {weekday: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short"};
    t.append(" (" + d.toLocaleString([], s) + ")");
  }
}
