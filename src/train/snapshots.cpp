#include "train/snapshots.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>

#include "base/thread_signals.h"
#include "device/host_memory.h"
#include "io/disk.h"
#include "train/checkpoint_folders.h"
#include "train/snapshot_folder.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

// A folder in memory may promise more than the machine has.
void require_memory(const std::string& dir, uint64_t n_bytes) {
  if (!lies_in_memory(dir)) return;
  const HostMemory host = host_memory();
  if (host.total > 0 && n_bytes + n_bytes / 8 > host.available)
    fail(cat("a snapshot of ", n_bytes, " bytes in ", dir, " has no room: ", host.available, " bytes of this host's memory are free"),
         ExitCode::failure);
}

}  // namespace

Snapshots::Snapshots(const Site& site, Comm& comm, ShardWriter& writer) : site_(site), comm_(comm), writer_(writer) {
  manifest_.tensors = site.tensors;
  leads_ = comm.host().split(site.node)->rank() == 0;
  if (!site.partner) return;
  partners_ = std::make_unique<PartnerGroup>(make_partners(comm, site.node));
  double alone = partners_->partner < 0;
  comm.host().all_reduce({&alone, {1}, DType::f64, Device::cpu}, Reduce::max).wait();
  if (alone > 0) partners_.reset();
}

void Snapshots::begin_anew(int64_t step) {
  if (leads_) remove_snapshots(site_.dir, [&](int64_t other) { return other != step; });
}

Snapshots::~Snapshots() {
  if (cleaner_.joinable()) cleaner_.join();
}

std::string Snapshots::folder() const { return site_.dir + "/" + step_name(manifest_.state.step); }

void Snapshots::begin(CheckpointState state, const std::vector<TensorPiece>& pieces) {
  require(idle(), "a snapshot is complete before the next begins");
  state.extra[kRunOfSnapshot] = site_.run;
  state.extra[kWorldOfSnapshot] = std::to_string(comm_.size());
  manifest_.state = std::move(state);
  uint64_t own = 0;
  for (const TensorPiece& p : pieces) own += p.data.n_bytes();
  ShardTarget target{.folder = folder(), .file = shard_name(comm_.rank()), .needed_bytes = own + own / 100 + 65536, .durable = false};
  target.before = [dir = site_.dir, own] {
    if (fs::create_directories(dir)) ::chmod(dir.c_str(), 0700);
    require_memory(dir, own);
  };
  target.then = [this, json = folder() + "/" + manifest_name(comm_.rank())] {
    Manifest one = manifest_;
    one.files = {writer_.file()};
    one.parts = writer_.parts();
    write_file(json, to_text(one));
  };
  writing_ = true;
  writer_.start(target, manifest_, pieces);
}

std::string Snapshots::end(bool failed) {
  if (failed) writer_.cancel();
  writer_.wait();
  writing_ = false;
  if (failed) return give_up(writer_.error().empty() ? "a rank could not write its shard" : writer_.error());
  if (!partners_) return complete();
  exchange_ = std::make_unique<PartnerExchange>(comm_, *partners_, folder());
  return "";
}

void Snapshots::cancel() {
  if (!writing_) return;
  writer_.cancel();
  writer_.wait();
  writing_ = false;
  give_up("");
}

std::string Snapshots::go_on() {
  if (!exchange_ || !exchange_->go_on()) return "";
  const std::string error = exchange_->error();
  exchange_.reset();
  return error.empty() ? complete() : give_up(error);
}

std::string Snapshots::complete() {
  if (leads_)
    in_background([dir = site_.dir, step = manifest_.state.step] { remove_snapshots(dir, [&](int64_t other) { return other < step; }); });
  char figures[64];
  std::snprintf(figures, sizeof figures, "%.3g GB of rank 0 in %.1f s", 1e-9 * static_cast<double>(writer_.file().n_bytes),
                writer_.seconds());
  return cat("snapshot of step ", manifest_.state.step, " in ", site_.dir, " (", figures, ")");
}

// This rank's part of a snapshot that will not be complete.
std::string Snapshots::give_up(const std::string& why) {
  unlink((folder() + "/" + manifest_name(comm_.rank())).c_str());
  unlink((folder() + "/" + shard_name(comm_.rank())).c_str());
  if (partners_ && partners_->partner >= 0) {
    unlink((folder() + "/" + manifest_name(partners_->partner)).c_str());
    unlink((folder() + "/" + shard_name(partners_->partner)).c_str());
  }
  rmdir(folder().c_str());  // by the last rank of the host that gets here
  return cat("warning: the snapshot of step ", manifest_.state.step, " was given up: ", why, "; the one before stays");
}

void Snapshots::remove() {
  cancel();
  exchange_.reset();
  comm_.host().barrier();
  if (cleaner_.joinable()) cleaner_.join();
  if (leads_) remove_all_snapshots(site_.dir);
}

void Snapshots::in_background(const std::function<void()>& action) {
  if (cleaner_.joinable()) cleaner_.join();
  cleaner_ = std::thread([action] {
    leave_signals_to_others();
    action();
  });
}

}  // namespace rk
