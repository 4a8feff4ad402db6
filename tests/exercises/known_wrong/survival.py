"""Wrong answers to the exercises on checkpoints."""

import copy

from known_wrong import Wrong


def right(model, optimizer, generator, step):
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    return copy.deepcopy({**state, "generator": generator.get_state(), "step": step})


def shares_the_weights(model, optimizer, generator, step):
    return right(model, optimizer, generator, step) | {"model": model.state_dict()}


def shares_the_averages(model, optimizer, generator, step):
    return right(model, optimizer, generator, step) | {"optimizer": optimizer.state_dict()}


def forgets_the_optimizer(model, optimizer, generator, step):
    found = right(model, optimizer, generator, step)
    del found["optimizer"]
    return found


def keeps_the_seed(model, optimizer, generator, step):
    return right(model, optimizer, generator, step) | {"generator": generator.initial_seed()}


def keeps_the_model(model, optimizer, generator, step):
    return right(model, optimizer, generator, step) | {"model": model}


def keeps_only_the_settings(model, optimizer, generator, step):
    return right(model, optimizer, generator, step) | {"optimizer": optimizer.defaults}


def counts_one_more(model, optimizer, generator, step):
    return right(model, optimizer, generator, step + 1)


def writes_over(disk, name, data):
    disk.write(name, data)
    disk.flush(name)


def forgets_to_flush(disk, name, data):
    disk.write("draft", data)
    disk.rename("draft", name)


def flushes_too_late(disk, name, data):
    disk.write("draft", data)
    disk.rename("draft", name)
    disk.flush(name)


def deletes_first(disk, name, data):
    disk.write("draft", data)
    disk.flush("draft")
    if name in disk.files:
        disk.delete(name)
    disk.rename("draft", name)


def keeps_the_draft(disk, name, data):
    disk.write("draft", data)
    disk.flush("draft")
    disk.write("again", data)
    disk.flush("again")
    disk.rename("again", name)


def forgets_to_rename(disk, name, data):
    disk.write("draft", data)
    disk.flush("draft")


def needs_an_old_file(disk, name, data):
    disk.write("draft", data)
    disk.flush("draft")
    disk.rename(name, "previous")
    disk.rename("draft", name)
    disk.delete("previous")


WRONG = {
    "snapshot": [
        Wrong(shares_the_weights, says="holds the new weights"),
        Wrong(shares_the_averages, says="the optimizer's new averages"),
        Wrong(forgets_the_optimizer, says="lacks 'optimizer'"),
        Wrong(keeps_the_seed, says="does not say how far it has come"),
        Wrong(keeps_the_model, says="the model itself is kept"),
        Wrong(keeps_only_the_settings, says="lacks its averages"),
        Wrong(counts_one_more, says="`step` says 3"),
    ],
    "save_safely": [
        Wrong(writes_over, says="the old one is written over"),
        Wrong(forgets_to_flush, says="before it was flushed"),
        Wrong(flushes_too_late, says="before it was flushed"),
        Wrong(deletes_first, says="the old file went too early"),
        Wrong(keeps_the_draft, says="a file is left over: draft"),
        Wrong(forgets_to_rename, says="does not hold the new data"),
        Wrong(needs_an_old_file, says="the old file went too early"),
    ],
}
