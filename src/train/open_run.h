// What a run works on, decided and opened before any memory is taken.
#pragma once
#include <memory>
#include <optional>

#include "data/open_data.h"
#include "data/prefetched_source.h"
#include "model/families.h"
#include "train/batcher.h"
#include "train/horizon.h"
#include "train/machine.h"
#include "train/run_settle.h"
#include "train/start.h"
#include "train/step_batch.h"
#include "train/trainer.h"
#include "train/validation.h"

namespace rk {

struct OpenedRun {
  Start start;
  std::unique_ptr<DataSet> data;
  std::unique_ptr<Model> model;
  std::unique_ptr<BatchSource> samples;      // of data
  std::unique_ptr<PrefetchedSource> source;  // the same, read ahead
  Horizon horizon;
  RunSite site;
  StepBatch batch;
  BatchShape shape;
  std::optional<Validation> validation;
};

// Where text goes that has become tokens.
std::string token_folder(const RunConfig& config);

// All refusals happen here. Sets in `config` what the machine and a checkpoint decide. bare: without arenas. Collective.
OpenedRun open_run(RunConfig& config, Comm& comm, const Machine& machine, const Exec& bare, Observer& observer);

}  // namespace rk
