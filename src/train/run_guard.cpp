#include "train/run_guard.h"

#include <filesystem>

#include "comm/places.h"
#include "comm/texts.h"
#include "comm/waited.h"
#include "train/checkpoint.h"

namespace rk {

static constexpr double kLongStep_s = 10;

RunGuard::RunGuard(const GuardedRun& run, bool writes)
    : run_(run), hasher_(run.ex), limit_(run.config.comm_timeout_s), bad_steps_(run.config.max_bad_steps) {
  Comm& comm = run_.comm;
  const bool several = comm.size() > 1;
  const auto show_life = [&] { heartbeats_.emplace(run_.config.proj_dir + "/ranks.alive", comm.rank(), comm.size()); };
  const bool shows_life = writes && several;
  std::error_code none;
  if (writes && leads()) std::filesystem::remove(run_.config.proj_dir + "/" + bad_steps_file, none);
  if (shows_life && leads()) show_life();  // makes the file: no other rank's first sign may be lost by that
  slow_ranks_ = SlowRanks(gather_texts(comm, host_name()));
  if (shows_life && !leads()) show_life();
  watchdog_.emplace(WatchdogOptions{.timeout_s = run_.config.comm_timeout_s,
                                    .rank = comm.rank(),
                                    .on_gpu = &comm.host() != &comm ? comm.pending() : nullptr,
                                    .on_host = comm.host().pending(),
                                    .peers = heartbeats_ ? &*heartbeats_ : nullptr,
                                    .terminated = several ? &run_.flags.terminated : nullptr});
}

double RunGuard::waited() const { return waited_s(run_.comm); }

double RunGuard::begin_step(int64_t step, double targets, OwnTime::Clock::time_point began) {
  step_ = step;
  own_time_.begin_step(began, waited());
  // A GPU's own time cannot be told from its waiting without waiting for it, so that only ranks on the CPU compare.
  const bool compares = run_.comm.size() > 1 && run_.ex.device == Device::cpu && own_time_.due();
  double words[] = {targets, leads() && last_s_ > kLongStep_s ? 1.0 : 0.0, leads() && compares ? 1.0 : 0.0};
  watchdog_->progress(step, "counting tokens");
  run_.comm.all_reduce({words, {3}, DType::f64, Device::cpu}, Reduce::sum).wait();
  long_steps_ = words[1] > 0;
  if (words[2] > 0) compare_ranks();
  return words[0];
}

void RunGuard::compare_ranks() {
  double own = own_time_.take();
  std::vector<double> all(static_cast<size_t>(run_.comm.size()));
  run_.comm.all_gather({&own, {1}, DType::f64, Device::cpu}, {all.data(), {run_.comm.size()}, DType::f64, Device::cpu}).wait();
  for (const std::string& line : slow_ranks_.compare(all)) run_.observer.line(line);
}

bool RunGuard::stop_is_asked() const {
  return run_.flags.save_and_stop || (leads() && std::filesystem::exists(run_.config.proj_dir + "/stop"));
}

std::function<bool()> RunGuard::leave() {
  if (!long_steps_ || run_.config.offload_optimizer) return {};
  return [this] {
    watchdog_->progress(step_, "agreement on a request to stop");
    double wish = stop_is_asked();
    run_.comm.host().all_reduce({&wish, {1}, DType::f64, Device::cpu}, Reduce::max).wait();
    return wish > 0;
  };
}

void RunGuard::note(const StepReport& r, double next_loss_scale) {
  bad_steps_.note(r, scaled());
  last_s_ = r.seconds;
  limit_.add(r.seconds);
  if (!run_.config.origins.contains("comm_timeout")) watchdog_->set_timeout(limit_.seconds());
  if (!r.skipped) return;
  run_.observer.line(cat("warning: step ", r.step, " has a loss of ", r.loss, " and a gradient norm of ", r.grad_norm,
                         "; its update is skipped on all ranks; ", samples_text(r, run_.source, run_.config.ctx_len),
                         scaled() ? cat("; the loss scale goes from ", r.applied_scale, " to ", next_loss_scale) : ""));
}

void RunGuard::stop_at_bad_steps() {
  watchdog_->pause();
  const std::string culprit = first_not_finite(run_.ex, run_.model, run_.shards, run_.comm);
  const std::string report = run_.config.proj_dir + "/" + bad_steps_file;
  const bool told = leads() && bad_steps_.write_report(report, run_.source, run_.config.ctx_len, culprit);
  std::vector<std::string> warnings;
  const std::optional<std::string> newest = newest_checkpoint(run_.config.proj_dir, warnings);
  fail(cat("steps ", bad_steps_.first(), " to ", bad_steps_.last(), " had no finite loss or gradient (--max_bad_steps ", bad_steps_.n(),
           "); ", culprit.empty() ? "all weights are finite" : "not finite: " + culprit, "; nothing of these steps is saved; ",
           told ? report + " names their samples; " : "",
           newest ? cat("--resume auto goes back to ", *newest) : std::string("there is no checkpoint to go back to"),
           "; a smaller --lr_init or --grad_clip may help"),
       ExitCode::failure);
}

}  // namespace rk
