// One rank's shard file, written by a thread of its own from a copy in host memory, or, for what lies in pinned memory, from there: that must
// not change before wait() returns.
#pragma once
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "device/exec.h"
#include "train/checkpoint_manifest.h"

namespace rk {

class ShardWriter {
 public:
  // copies: what copies pieces that lie on a GPU.
  explicit ShardWriter(const Exec& copies) : copies_(copies) {}
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;
  ~ShardWriter();

  // Copies the pieces and starts the thread. The copy's memory is allocated once and reused. `needed_bytes` are those that must be
  // free on the disk. `m` supplies names and shapes.
  void start(const std::string& folder, int rank, const Manifest& m, const std::vector<TensorPiece>& pieces, uint64_t needed_bytes);
  bool done() const { return done_; }
  void wait();

  // After wait(): what went wrong, or "".
  const std::string& error() const { return error_; }
  const ManifestFile& file() const { return file_; }
  const std::map<std::string, DType>& parts() const { return parts_; }
  const std::string& path() const { return path_; }
  size_t staging_bytes() const { return staging_.size(); }

 private:
  void stage(const Manifest& m, const std::vector<TensorPiece>& pieces);
  void run(const Manifest& m, uint64_t needed_bytes);
  void write_file(const Manifest& m);

  Exec copies_;
  std::string folder_, path_, error_;
  ManifestFile file_;
  std::map<std::string, DType> parts_;
  std::vector<const std::byte*> sources_;  // of the pieces: in the staging memory, or where they were
  Buffer staging_;
  std::thread thread_;
  std::atomic<bool> done_{true};
};

}  // namespace rk
