#include "train/saving.h"

#include <cstdio>
#include <filesystem>

#include "comm/agree.h"
#include "comm/texts.h"
#include "train/checkpoint_folders.h"
#include "train/memory_plan.h"
#include "train/snapshot_folder.h"
#include "train/snapshot_start.h"

namespace rk {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

std::string text_of_seconds(double s) {
  char text[32];
  std::snprintf(text, sizeof text, s < 1 ? "%.0f ms" : "%.1f s", s < 1 ? 1e3 * s : s);
  return text;
}

constexpr const char* kBest = "best";                 // of CheckpointState::extra
constexpr const char* kWeights = "weights to write";  // the same: of a folder that a file is made of

}  // namespace

Saving::Saving(const Site& site, size_t copied_bytes)
    : site_(site),
      saver_(site.config.proj_dir, site.tensors, KeepRule{site.config.keep_last, site.config.keep_every}, site.bare),
      best_(site.config.keep_best),
      copied_bytes_(site.shards.in_first_group() ? copied_bytes : 0) {
  if (copied_bytes_ > 0) saver_.writer().reserve(copied_bytes_);
  site_.shards.guard_updates(&saver_.writer());
}

Saving::~Saving() {
  saver_.cancel();
  try {
    site_.shards.guard_updates(nullptr);
  } catch (const Error&) {  // of the state, which nobody waits for any longer
  }
}

void Saving::start(Watchdog& watchdog, const CheckpointState& state, const Start& from) {
  watchdog_ = &watchdog;
  cadence_ = SaveCadence(site_.config.save_every, state.tokens);
  if (!saver_.writer().reserved().empty())
    site_.say(cat("warning: this host has no ", mebibytes(copied_bytes_),
                  " for a copy of the state: checkpoints are written from where it lies, and updates wait for the disk"));
  saver_.writer().while_waiting(
      [this, step = state.step] { watchdog_->progress(step, "waiting for the checkpoint that is being written"); });
  const auto kept = [&](const char* name) {
    const auto it = state.extra.find(name);
    return it != state.extra.end() ? it->second : std::string();
  };
  best_.set(kept(kBest));
  if (site_.config.snapshot_every.every > 0) start_snapshots(state, from);
  if (from.kind != Start::Kind::checkpoint || from.snapshot) return;
  last_step_ = state.step;
  // The run may have ended before it got to the weights.
  const std::string weights = kept(kWeights);
  if (leads() && !weights.empty() && std::filesystem::exists(folder_of(state.step)) &&
      !std::filesystem::exists(site_.config.proj_dir + "/" + weights))
    exports_.add(state.step, folder_of(state.step), site_.config.proj_dir + "/" + weights);
}

void Saving::start_snapshots(const CheckpointState& state, const Start& from) {
  const RunConfig& c = site_.config;
  std::string run;
  agree(site_.comm, [&] {
    if (!leads()) return;
    if (from.kind == Start::Kind::checkpoint) run = run_name(c.proj_dir);
    if (run.empty()) run = make_run_name(c.proj_dir);
  });
  run = gather_texts(site_.comm.host(), run)[0];
  snapshots_.emplace(
      Snapshots::Site{.dir = snapshot_dir(c), .run = run, .partner = c.snapshot_partner, .node = site_.node, .tensors = site_.tensors},
      site_.comm, saver_.writer());
  snapshots_->begin_anew(from.snapshot ? state.step : -1);
  if (c.snapshot_partner && !snapshots_->has_partners())
    site_.say("warning: --snapshot_partner 1 does nothing: there is no other host for every rank");
  snapshot_cadence_ = SaveCadence(c.snapshot_every, state.tokens);
}

std::vector<TensorPiece> Saving::pieces() {
  std::vector<TensorPiece> pieces;
  if (!site_.shards.in_first_group()) return pieces;
  for (const OwnedPiece& p : site_.shards.owned_pieces()) {
    if (!p.master) {
      pieces.push_back({p.param->name, kFrozenPart, p.first, p.values, p.bucket});
      continue;
    }
    pieces.push_back({p.param->name, "master", p.first, p.master, p.bucket});
    pieces.push_back({p.param->name, "m", p.first, p.m, p.bucket});
    pieces.push_back({p.param->name, "v", p.first, p.v, p.bucket});
  }
  return pieces;
}

std::string Saving::folder_of(int64_t step) const { return site_.config.proj_dir + "/" + step_name(step); }

void Saving::paused(double seconds) {
  if (ending_) return;  // nothing is kept waiting
  pause_ += seconds;
  unreported_pause_ += seconds;
}

void Saving::begin(CheckpointState state, const std::string& weights) {
  while (saver_.busy()) commit();
  if (last_step_ == state.step) return;
  const auto began = Clock::now();
  if (snapshots_) snapshots_->cancel();
  pause_ = 0;
  watchdog_->pause();
  // What only one folder says.
  for (const char* name : {kWeights, kRunOfSnapshot, kWorldOfSnapshot}) state.extra.erase(name);
  if (!weights.empty()) state.extra[kWeights] = weights;
  weights_ = weights;
  saver_.begin(site_.comm, state, pieces());
  cadence_.saved();
  last_step_ = state.step;
  watchdog_->resume();
  paused(seconds_since(began));
}

// Collective: the next act of a save, or, with `wait`, all of them. The error, or nothing.
std::optional<std::string> Saving::end_save(bool wait) {
  const auto began = Clock::now();
  watchdog_->pause();
  const int64_t step = last_step_;
  std::set<int64_t> kept = best_.steps();
  kept.merge(exports_.in_use());
  if (!weights_.empty()) kept.insert(step);
  bool ended = saver_.go_on(site_.comm, kept);
  while (wait && !ended) ended = saver_.go_on(site_.comm, kept);
  watchdog_->resume();
  paused(seconds_since(began));
  if (!ended) return {};
  if (const auto& error = saver_.error()) {
    last_step_ = -1;
    best_.drop(step);
    return error;
  }
  const SaveFigures& f = saver_.figures();
  char written[64];
  std::snprintf(written, sizeof written, "%.3g GB written in %.1f s", 1e-9 * f.n_bytes, f.seconds);
  site_.say(cat("saved step ", step, " in ", site_.config.proj_dir, " (training paused ", text_of_seconds(pause_ + f.stalled), ", ",
                written, ")"));
  if (!leads()) return {};
  if (!weights_.empty()) exports_.add(step, folder_of(step), site_.config.proj_dir + "/" + weights_);
  name_best();
  return {};
}

void Saving::name_best() {
  const int64_t best = best_.best();
  if (best < 0 || best == named_best_ || !std::filesystem::exists(folder_of(best))) return;
  try {
    name_folder(site_.config.proj_dir, kBest, best);
    named_best_ = best;
  } catch (const Error& e) {
    site_.say(cat("warning: ", e.what()));
  }
}

void Saving::snapshot(const CheckpointState& state) {
  if (busy() || !snapshots_->idle() || last_step_ == state.step) return;
  const auto began = Clock::now();
  snapshots_->begin(state, pieces());
  snapshot_cadence_.saved();
  paused(seconds_since(began));
}

void Saving::go_on() {
  if (!snapshots_) return;
  if (const std::string said = snapshots_->go_on(); !said.empty()) site_.say(said);
}

void Saving::commit(bool failed) {
  if (snapshots_ && snapshots_->writing()) {
    if (const std::string said = snapshots_->end(failed); !said.empty()) site_.say(said);
    return;
  }
  if (failed) saver_.cancel();
  const std::string weights = weights_.empty() ? "" : cat("; ", weights_, " is not written either");
  if (const auto error = end_save(false))
    site_.say(cat("warning: ", *error, weights, "; training goes on and saves again at the next interval"));
}

void Saving::complete(const CheckpointState& state) {
  ending_ = true;
  begin(state);
  if (saver_.busy())
    if (const auto error = end_save(true)) fail(*error, ExitCode::failure);
  exports_.wait();
  tell();
  if (snapshots_) snapshots_->remove();
}

void Saving::tell() {
  for (const std::string& line : exports_.news()) site_.say(line);
}

bool Saving::among_best(CheckpointState& state, double loss) {
  const bool good = best_.add(state.step, loss);
  state.extra[kBest] = best_.text();
  return good;
}

}  // namespace rk
