#include "train/open_run.h"

#include "comm/agree.h"
#include "train/build.h"
#include "train/global_batch.h"
#include "train/init_run.h"
#include "train/snapshot_start.h"

namespace rk {
namespace {

// Text becomes tokens once, by rank 0; all ranks read the files that come of it.
std::unique_ptr<DataSet> open_all_data(const RunConfig& config, Comm& comm, const Machine& machine, Observer& observer) {
  agree(comm, [&] {
    if (comm.rank() != 0) return;
    prepare_data(config, {.folder = token_folder(config), .threads = machine.threads, .say = [&](const auto& s) { observer.line(s); }});
  });
  std::unique_ptr<DataSet> data;
  agree(comm, [&] { data = open_data(config, token_folder(config)); });
  for (const std::string& remark : data->remarks()) observer.line(remark);
  return data;
}

}  // namespace

std::string token_folder(const RunConfig& config) { return config.proj_dir + "/data"; }

OpenedRun open_run(RunConfig& config, Comm& comm, const Machine& machine, const Exec& bare, Observer& observer) {
  OpenedRun run;
  agree(comm, [&] { run.start = decide_start(config); });
  prefer_snapshot(run.start, config, comm, machine.node);
  agree(comm, [&] { keep_global_batch(config, run.start, comm.size()); });
  run.data = open_all_data(config, comm, machine, observer);
  agree(comm, [&] {
    run.model = build_model(config, run.start, run.data.get());
    run.samples = run.data->train_source(run.model->n_vocab);
  });
  agree(comm, [&] { make_proj_dir(config.proj_dir); });
  for (const std::string& remark : run.start.remarks) observer.line(remark);
  run.horizon = make_horizon(config, comm.size(), run.samples->n_samples_per_pass(), run.start.epoch_begin, run.start.warmup_steps);
  run.site = find_site(comm, machine);
  if (config.micro_auto) observer.line(settle_micro_bsz(comm, bare, *run.model, config, run.site));
  run.batch = step_batch(config, comm.size());
  run.shape = batch_shape(config);
  require(run.shape.micro == run.batch.per_rank(), "every rank's plan has as many micro-batches as the samples of a step need");
  run.source = std::make_unique<PrefetchedSource>(*run.samples, run.shape.T, run.shape.micro * run.shape.B);
  if (run.data->has_validation())
    agree(comm, [&] { run.validation.emplace(run.data->validation_source(run.model->n_vocab), run.shape, comm.rank(), comm.size()); });
  return run;
}

}  // namespace rk
