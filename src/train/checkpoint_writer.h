// One rank's shard file, written by a thread of its own while training goes on.
//
// The state of one moment gets there in one of two ways. Where host memory was reserved for it, it is copied there first, and updates wait
// for their part of the copy. Else it is written from where it lies, bucket after bucket, and the update of a bucket waits until that is in
// the file; what lies on a GPU goes through a small pinned buffer.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "shard/update_gate.h"
#include "train/checkpoint_manifest.h"
#include "train/state_copy.h"

namespace rk {

// A shard that is to be.
struct ShardTarget {
  std::string folder, file;   // the folder is made
  uint64_t needed_bytes = 0;  // that must be free on the disk
  bool durable = true;        // on the disk, not only in the system's memory
  // By the writer's thread, before the folder is made and after the file is complete; their errors are errors of the shard.
  std::function<void()> before = {}, then = {};
};

class ShardWriter : public UpdateGate {
 public:
  // copies: what holds the state.
  explicit ShardWriter(const Exec& copies);
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;
  ~ShardWriter() override;

  // Host memory for a copy of so many bytes, taken in the background.
  void reserve(size_t n_bytes) { copy_.reserve(n_bytes); }
  // Waits for it. Empty, or why it is not there: the state is then written from where it lies.
  std::string reserved() { return copy_.settle(); }
  size_t reserved_bytes() const { return copy_.n_bytes(); }
  // Called now and then, by whoever waits, while writing makes progress.
  void while_waiting(std::function<void()> alive) { alive_ = std::move(alive); }

  // Pieces in the order of their buckets, which must not change but behind before_update(), or after wait(). `m` supplies names and shapes.
  void start(const ShardTarget& target, const Manifest& m, const std::vector<TensorPiece>& pieces);
  bool done() const { return done_; }
  bool failed() const { return failed_; }
  void cancel() { cancel_ = true; }  // it ends soon, as failed
  void wait();

  // After wait(): what went wrong, or "".
  const std::string& error() const { return error_; }
  const ManifestFile& file() const { return file_; }
  const std::map<std::string, DType>& parts() const { return parts_; }
  std::string path() const { return target_.folder + "/" + target_.file; }
  double seconds() const { return seconds_; }  // of writing
  double stalled();                            // that updates waited at most

  void before_update(size_t bucket, CUstream_st* stream) override;

 private:
  void take_over(const Manifest& m, const std::vector<TensorPiece>& pieces);
  void run(const Manifest& m);
  void copy_all();
  void write_file(const Manifest& m);
  void passed(size_t n_pieces);

  Exec ex_;
  StateCopy copy_;
  std::function<void()> alive_;
  ShardTarget target_;
  std::string error_;
  ManifestFile file_;
  std::map<std::string, DType> parts_;
  std::vector<Tensor> sources_;        // of the pieces
  std::vector<size_t> end_of_bucket_;  // pieces of buckets up to this one
  enum class Way : uint8_t { queued_copy, copy, in_place } way_ = Way::in_place;
  Buffer window_;  // pinned, for a GPU's state in place
  std::unique_ptr<GpuEvent> moment_;
  std::thread thread_;
  std::atomic<bool> done_{true}, failed_{false}, cancel_{false};
  double seconds_ = 0, stalled_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t n_passed_ = 0;    // pieces that updates need not wait for
  bool open_ = true;       // nothing to wait for
  uint64_t progress_ = 0;  // grows while there is some
};

}  // namespace rk
