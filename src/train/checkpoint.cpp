// A save in three acts: begin, done, commit.
#include "train/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "io/disk.h"
#include "train/checkpoint_folders.h"
#include "train/checkpoint_writer.h"

namespace rk {
namespace {

Tensor over(void* data, int64_t n, DType dtype) {
  Tensor t;
  t.data = data;
  t.shape = {n};
  t.dtype = dtype;
  return t;
}

// Every rank's text, on every rank.
std::vector<std::string> gather_texts(Comm& comm, const std::string& mine) {
  const auto world = static_cast<size_t>(comm.size());
  auto length = static_cast<int64_t>(mine.size());
  std::vector<int64_t> lengths(world);
  comm.all_gather(over(&length, 1, DType::i64), over(lengths.data(), comm.size(), DType::i64)).wait();
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::string> texts(world);
  if (longest == 0) return texts;
  std::string padded = mine, all(static_cast<size_t>(longest) * world, '\0');
  padded.resize(static_cast<size_t>(longest));
  comm.all_gather(over(padded.data(), longest, DType::u8), over(all.data(), longest * comm.size(), DType::u8)).wait();
  for (size_t r = 0; r < world; ++r) texts[r] = all.substr(r * static_cast<size_t>(longest), static_cast<size_t>(lengths[r]));
  return texts;
}

// The first text that is not empty.
std::optional<std::string> first_of(const std::vector<std::string>& texts) {
  for (const std::string& t : texts)
    if (!t.empty()) return t;
  return std::nullopt;
}

}  // namespace

struct CheckpointSaver::Impl {
  explicit Impl(const Exec& copies) : writer(copies) {}

  std::string proj_dir;
  KeepRule keep;
  Manifest manifest;  // tensors always; the rest of the save in progress
  ShardWriter writer;
  std::string temporary;
  bool busy = false;

  uint64_t bytes_of_all(const std::vector<TensorPiece>& pieces) const {
    std::map<std::string, DType> parts;
    for (const TensorPiece& p : pieces) parts.emplace(p.part, p.data.dtype);
    uint64_t n = 0;
    for (const TensorShape& t : manifest.tensors)
      for (const auto& [part, dtype] : parts) n += static_cast<uint64_t>(numel(t)) * size_of(dtype);
    return n;
  }

  // On rank 0, when every rank's file is complete.
  void install(const std::vector<std::string>& entries) {
    manifest.parts.clear();
    manifest.files.clear();
    std::set<std::string> names;
    for (const std::string& entry : entries) {
      manifest.files.push_back(file_from_text(entry, manifest.parts));
      names.insert(manifest.files.back().name);
    }
    place_pieces(manifest, temporary);
    remove_strangers(names);
    const std::string text = to_text(manifest);
    NewFile file(temporary + "/manifest.json", text.size());
    file.write(text.data(), text.size());
    file.finish();
    install_folder(proj_dir, temporary, manifest.state.step);
    apply_keep_rule(proj_dir, manifest.state.step, keep);
  }

  // What a save of the same step that was cut off left in the folder.
  void remove_strangers(const std::set<std::string>& ours) const {
    std::vector<std::filesystem::path> strangers;
    for (const auto& entry : std::filesystem::directory_iterator(temporary))
      if (ours.count(entry.path().filename().string()) == 0) strangers.push_back(entry.path());
    std::error_code ignored;
    for (const auto& path : strangers) std::filesystem::remove_all(path, ignored);
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
  if (!impl_->busy) return;
  impl_->writer.wait();
  impl_->discard();
}

bool CheckpointSaver::busy() const { return impl_->busy; }
bool CheckpointSaver::done() const { return impl_->writer.done(); }
size_t CheckpointSaver::staging_bytes() const { return impl_->writer.staging_bytes(); }

void CheckpointSaver::begin(const Comm& comm, const CheckpointState& state, const std::vector<TensorPiece>& pieces) {
  Impl& s = *impl_;
  require(!s.busy, "a save is committed before the next begins");
  s.manifest.state = state;
  s.temporary = s.proj_dir + "/" + step_name(state.step) + ".tmp";
  uint64_t own = 0;
  for (const TensorPiece& p : pieces) own += p.data.n_bytes();
  // Rank 0 looks after the room for all, as the folder is shared; the margin is for what HDF5 adds.
  const uint64_t needed = comm.rank() == 0 ? std::max(own, s.bytes_of_all(pieces)) : own;
  s.busy = true;
  s.writer.start(s.temporary, comm.rank(), s.manifest, pieces, needed + needed / 100 + 65536);
}

std::optional<std::string> CheckpointSaver::commit(Comm& comm) {
  Impl& s = *impl_;
  require(s.busy, "a save is begun before it is committed");
  s.writer.wait();
  s.busy = false;
  std::optional<std::string> error = first_of(gather_texts(comm, s.writer.error()));
  if (!error) {
    const std::vector<std::string> entries = gather_texts(comm, to_text(s.writer.file(), s.writer.parts()));
    std::string outcome;
    if (comm.rank() == 0) {
      try {
        s.install(entries);
      } catch (const std::exception& e) {
        outcome = e.what();
      }
    }
    error = first_of(gather_texts(comm, outcome));
  }
  if (!error) return std::nullopt;
  s.discard();
  comm.barrier();
  std::error_code ignored;
  if (comm.rank() == 0) std::filesystem::remove_all(s.temporary, ignored);
  return cat("checkpoint ", step_name(s.manifest.state.step), " was not saved: ", *error);
}

}  // namespace rk
