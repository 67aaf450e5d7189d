import { close, dialog } from "../parts/dialog.ts";
import { ArchiveDialog } from "./ArchiveDialog.tsx";
import { DeleteDialog } from "./DeleteDialog.tsx";
import { KeysDialog } from "./KeysDialog.tsx";
import { outcome } from "./outcome.ts";
import { OutcomeDialog } from "./OutcomeDialog.tsx";
import { UnarchiveDialog } from "./UnarchiveDialog.tsx";

/** The dialogs about whole threads, and the keys. What came of a deed is told above all others. */
export function Dialogs() {
  return (
    <>
      <Asked />
      {outcome.value && <OutcomeDialog outcome={outcome.value} close={() => (outcome.value = undefined)} />}
    </>
  );
}

function Asked() {
  const asked = dialog.value;
  switch (asked?.kind) {
    case "archive":
      return <ArchiveDialog threads={asked.threads} close={close} />;
    case "unarchive":
      return <UnarchiveDialog threads={asked.threads} close={close} />;
    case "delete":
      return <DeleteDialog threads={asked.threads} close={close} />;
    case "keys":
      return <KeysDialog close={close} />;
    default:
      return null;
  }
}
