// A save in three acts: begin, done, commit.
#include "train/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include "base/thread_signals.h"
#include "comm/texts.h"
#include "io/disk.h"
#include "train/checkpoint_folders.h"
#include "train/checkpoint_writer.h"

namespace rk {

namespace {

enum class Phase : uint8_t { none, writing, installing };

}  // namespace

struct CheckpointSaver::Impl {
  explicit Impl(const Exec& copies) : writer(copies) {}

  std::string proj_dir;
  KeepRule keep;
  Manifest manifest;  // tensors always; the rest of the save in progress
  ShardWriter writer;
  std::string temporary;
  Phase phase = Phase::none;
  SaveFigures figures;
  std::thread installing;  // rank 0's
  std::atomic<bool> installed{true};
  std::string outcome;  // of that: "" or an error
  std::optional<std::string> error;

  uint64_t bytes_of_all(const std::vector<TensorPiece>& pieces) const {
    std::map<std::string, DType> parts;
    for (const TensorPiece& p : pieces) parts.emplace(p.part, p.data.dtype);
    uint64_t n = 0;
    for (const TensorShape& t : manifest.tensors)
      for (const auto& [part, dtype] : parts)
        if ((part == kFrozenPart) != t.trained) n += static_cast<uint64_t>(numel(t)) * size_of(dtype);
    return n;
  }

  // On rank 0, when every rank's file is complete.
  void install(const std::vector<std::string>& entries, const std::set<int64_t>& kept) {
    manifest.parts.clear();
    manifest.files.clear();
    std::set<std::string> names;
    for (const std::string& entry : entries) {
      manifest.files.push_back(file_from_text(entry, manifest.parts));
      names.insert(manifest.files.back().name);
    }
    place_pieces(manifest, temporary);
    remove_strangers(names);
    write_file(temporary + "/manifest.json", to_text(manifest));
    install_folder(proj_dir, temporary, manifest.state.step);
    apply_keep_rule(proj_dir, manifest.state.step, keep, kept);
  }

  // The same, and the removal of what is not to be kept, takes its time.
  void start_install(const std::vector<std::string>& entries, const std::set<int64_t>& kept) {
    installed = false;
    installing = std::thread([this, entries, kept] {
      leave_signals_to_others();
      try {
        install(entries, kept);
      } catch (const std::exception& e) {
        outcome = e.what();
      }
      installed = true;
    });
  }

  bool end(Comm& comm, const std::optional<std::string>& why) {
    phase = Phase::none;
    error.reset();
    if (!why) return true;
    discard();
    comm.barrier();
    std::error_code ignored;
    if (comm.rank() == 0) std::filesystem::remove_all(temporary, ignored);
    error = cat("checkpoint ", step_name(manifest.state.step), " was not saved: ", *why);
    return true;
  }

  // What a save of the same step that was cut off left in the folder.
  void remove_strangers(const std::set<std::string>& ours) const {
    std::vector<std::filesystem::path> strangers;
    for (const auto& entry : std::filesystem::directory_iterator(temporary))
      if (ours.count(entry.path().filename().string()) == 0) strangers.push_back(entry.path());
    std::error_code ignored;
    for (const auto& path : strangers) std::filesystem::remove_all(path, ignored);
  }

  void add_up(Comm& comm) {
    double slowest[] = {writer.seconds(), writer.stalled()}, n_bytes = static_cast<double>(writer.file().n_bytes);
    comm.all_reduce({slowest, {2}, DType::f64, Device::cpu}, Reduce::max).wait();
    comm.all_reduce({&n_bytes, {1}, DType::f64, Device::cpu}, Reduce::sum).wait();
    figures = {slowest[0], slowest[1], n_bytes};
  }

  void discard() const {
    unlink(writer.path().c_str());
    rmdir(temporary.c_str());  // by the last rank that gets here
  }
};

CheckpointSaver::CheckpointSaver(std::string proj_dir, std::vector<TensorShape> tensors, KeepRule keep, const Exec& copies)
    : impl_(std::make_unique<Impl>(copies)) {
  impl_->proj_dir = std::move(proj_dir);
  impl_->manifest.tensors = std::move(tensors);
  impl_->keep = keep;
}

CheckpointSaver::~CheckpointSaver() {
  impl_->writer.cancel();
  impl_->writer.wait();
  if (impl_->installing.joinable()) impl_->installing.join();
  if (impl_->phase == Phase::writing) impl_->discard();
}

bool CheckpointSaver::busy() const { return impl_->phase != Phase::none; }
bool CheckpointSaver::done() const { return impl_->phase == Phase::installing ? impl_->installed.load() : impl_->writer.done(); }
bool CheckpointSaver::failed() const { return impl_->phase == Phase::writing && impl_->writer.failed(); }
const std::optional<std::string>& CheckpointSaver::error() const { return impl_->error; }
void CheckpointSaver::cancel() { impl_->writer.cancel(); }
ShardWriter& CheckpointSaver::writer() { return impl_->writer; }
const SaveFigures& CheckpointSaver::figures() const { return impl_->figures; }

void CheckpointSaver::begin(const Comm& comm, const CheckpointState& state, const std::vector<TensorPiece>& pieces) {
  Impl& s = *impl_;
  require(!busy(), "a save is committed before the next begins");
  s.manifest.state = state;
  s.temporary = s.proj_dir + "/" + step_name(state.step) + ".tmp";
  uint64_t own = 0;
  for (const TensorPiece& p : pieces) own += p.data.n_bytes();
  // Rank 0 looks after the room for all, as the folder is shared; the margin is for what HDF5 adds.
  const uint64_t needed = comm.rank() == 0 ? std::max(own, s.bytes_of_all(pieces)) : own;
  s.phase = Phase::writing;
  s.outcome.clear();
  s.writer.start({.folder = s.temporary, .file = shard_name(comm.rank()), .needed_bytes = needed + needed / 100 + 65536}, s.manifest,
                 pieces);
}

bool CheckpointSaver::go_on(Comm& comm, const std::set<int64_t>& kept) {
  Impl& s = *impl_;
  require(busy(), "a save is begun before it goes on");
  if (s.phase == Phase::writing) {
    s.writer.wait();
    std::optional<std::string> error = first_of(gather_texts(comm, s.writer.error()));
    if (error) return s.end(comm, error);
    const std::vector<std::string> entries = gather_texts(comm, to_text(s.writer.file(), s.writer.parts()));
    s.add_up(comm);
    s.phase = Phase::installing;
    if (comm.rank() == 0) s.start_install(entries, kept);
    return false;
  }
  if (s.installing.joinable()) s.installing.join();
  return s.end(comm, first_of(gather_texts(comm, s.outcome)));
}

std::optional<std::string> CheckpointSaver::commit(Comm& comm, const std::set<int64_t>& kept) {
  while (!go_on(comm, kept)) {
  }
  return error();
}

}  // namespace rk
