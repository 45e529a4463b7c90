"""Which pairs a run reads, epoch by epoch, also where it goes on."""

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.training.pairing import PairDataset


def test_a_run_and_one_that_goes_on_read_the_pairs_of_their_epochs(make_trainer, monkeypatch):
    read = []
    get = PairDataset.__getitem__
    monkeypatch.setattr(PairDataset, "__getitem__", lambda self, pair: read.append(pair) or get(self, pair))
    options = {"learning_rate": 1e-3, "num_train_epochs": 2, "save_strategy": "steps", "save_steps": 4}
    trainer = make_trainer(**options)  # three steps an epoch
    trainer.train()
    expected = []
    for epoch in range(2):
        trainer.sampler.set_epoch(epoch)
        expected += list(trainer.sampler)
    assert read == expected
    assert expected[:12] != expected[12:]

    read.clear()
    make_trainer(**options).train(resume_from_checkpoint=str(checkpoint_folder(trainer.args.output_dir, 4)))
    assert read == expected[16:]
