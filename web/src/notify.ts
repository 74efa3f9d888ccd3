// Notifications of the system: that it rings, while the page is not looked at.

export const canNotify = (): boolean => "Notification" in globalThis;

/** Asks the person once; whether it is allowed. */
export async function allowNotifications(): Promise<boolean> {
  if (!canNotify()) return false;
  return (await Notification.requestPermission()) === "granted";
}

/** Tells of a ring; what is returned takes it back. */
export function notify(id: string, title: string, body: string): () => void {
  if (!canNotify() || Notification.permission !== "granted" || document.hasFocus()) return () => {};
  const notification = new Notification(title, { body, tag: id, requireInteraction: true });
  notification.onclick = () => {
    window.focus();
    notification.close();
  };
  return () => notification.close();
}
