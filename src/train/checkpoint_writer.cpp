#include "train/checkpoint_writer.h"

#include <sys/stat.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "base/error.h"
#include "base/thread_signals.h"
#include "io/disk.h"
#include "io/hdf5/flat_file.h"

namespace rk {
namespace {

constexpr int64_t kBlockBytes = 8 * checkpoint_chunk_bytes;  // that are hashed and written at a time
constexpr int kThreads = 4;

struct Cancelled {};  // by another rank's error, or for something better

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

ShardWriter::ShardWriter(const Exec& copies) : ex_(copies), copy_(copies) {
  if (ex_.gpu) moment_ = std::make_unique<GpuEvent>(GpuEvent::Use::order);
}

ShardWriter::~ShardWriter() {
  cancel();
  wait();
}

double ShardWriter::stalled() {
  const std::lock_guard lock(mutex_);
  return stalled_;
}

void ShardWriter::wait() {
  if (thread_.joinable()) thread_.join();
}

void ShardWriter::take_over(const Manifest& m, const std::vector<TensorPiece>& pieces) {
  std::unordered_map<std::string, int64_t> index;
  for (size_t i = 0; i < m.tensors.size(); ++i) index[m.tensors[i].name] = static_cast<int64_t>(i);
  file_.pieces.clear();
  parts_.clear();
  sources_.clear();
  end_of_bucket_.clear();
  size_t n_bytes = 0;
  bool on_gpu = false;
  for (const TensorPiece& p : pieces) {
    if (p.data.numel() == 0) continue;
    const auto it = index.find(p.tensor);
    require(it != index.end(), "a checkpoint holds pieces of the tensors it was promised");
    require(is_checkpoint_dtype(p.data.dtype), "a checkpoint holds floating-point numbers");
    require(parts_.emplace(p.part, p.data.dtype).first->second == p.data.dtype, "all pieces of a part have one type");
    require(p.bucket + 1 >= end_of_bucket_.size(), "pieces come in the order of their buckets");
    file_.pieces.push_back({it->second, p.part, p.offset, p.data.numel()});
    end_of_bucket_.resize(p.bucket + 1, sources_.size());
    sources_.push_back(p.data);
    end_of_bucket_.back() = sources_.size();
    n_bytes += p.data.n_bytes();
    on_gpu = on_gpu || p.data.device == Device::cuda;
  }
  copy_.settle();
  way_ = !copy_.holds(n_bytes) ? Way::in_place : on_gpu ? Way::queued_copy : Way::copy;
  if (way_ == Way::queued_copy) copy_.begin(sources_);
  if (way_ == Way::copy) copy_.lay_out(sources_);
  if (way_ == Way::in_place && on_gpu) {
    moment_->record(*ex_.gpu);
    if (window_.size() == 0) window_ = Buffer(Device::pinned, kBlockBytes);
  }
}

void ShardWriter::start(const ShardTarget& target, const Manifest& m, const std::vector<TensorPiece>& pieces) {
  require(!thread_.joinable(), "a shard is waited for before the next is begun");
  target_ = target;
  file_.name = target.file;
  error_.clear();
  take_over(m, pieces);
  stalled_ = 0;
  n_passed_ = 0;
  open_ = false;
  cancel_ = failed_ = done_ = false;
  thread_ = std::thread([this, &m] { run(m); });
}

void ShardWriter::run(const Manifest& m) {
  leave_signals_to_others();
  const auto began = std::chrono::steady_clock::now();
  try {
    if (ex_.gpu) ex_.gpu->make_current();
    if (way_ == Way::copy) copy_all();
    if (target_.before) target_.before();
    if (mkdir(target_.folder.c_str(), 0777) != 0 && errno != EEXIST) fail_write(target_.folder, 0, errno);
    require_space(path(), target_.needed_bytes);
    write_file(m);
    if (target_.then) target_.then();
  } catch (const Cancelled&) {
    failed_ = true;
  } catch (const std::exception& e) {
    error_ = e.what();
    failed_ = true;
  }
  seconds_ = seconds_since(began);
  {
    const std::lock_guard lock(mutex_);
    if (way_ == Way::queued_copy && !failed_) stalled_ = copy_.stalled();
    open_ = true;
  }
  changed_.notify_all();
  done_ = true;
}

void ShardWriter::passed(size_t n_pieces) {
  {
    const std::lock_guard lock(mutex_);
    n_passed_ = n_pieces;
    ++progress_;
  }
  changed_.notify_all();
}

// What lies in the host's memory, as fast as that is.
void ShardWriter::copy_all() {
  ThreadPool pool(std::max(kThreads, ex_.pool ? ex_.pool->size() : 0));  // updates wait for it
  for (size_t i = 0; i < sources_.size(); ++i) {
    const Tensor& from = sources_[i];
    pool.parallel_for(static_cast<int64_t>(from.n_bytes()), checkpoint_chunk_bytes, [&](int64_t begin, int64_t end) {
      std::memcpy(copy_.of(i) + begin, static_cast<const std::byte*>(from.data) + begin, static_cast<size_t>(end - begin));
    });
    passed(i + 1);
  }
}

void ShardWriter::write_file(const Manifest& m) {
  std::vector<FlatFile::Dataset> datasets;
  std::vector<int64_t> checksums;
  for (const ManifestPiece& p : file_.pieces) {
    const DType dtype = parts_.at(p.part);
    datasets.push_back({dataset_of(m, p),
                        dtype,
                        p.n,
                        {{"offset", {p.offset}},
                         {"shape", m.tensors[static_cast<size_t>(p.tensor)].shape},
                         {"first_checksum", {static_cast<int64_t>(checksums.size())}}}});
    checksums.resize(checksums.size() + static_cast<size_t>(chunks_of(p, dtype)));
  }
  datasets.push_back({"checksums", DType::i64, static_cast<int64_t>(checksums.size()), {}, {}});
  datasets.back().texts = {{"method", "xxhash64, seed 0, of each 4 MiB of each dataset, in the manifest's order of pieces"}};
  FlatFile out(path(), datasets, target_.durable);

  ThreadPool pool(kThreads);
  std::optional<GpuStream> stream;
  if (window_.size() > 0) {
    stream.emplace(*ex_.gpu);
    moment_->hold(stream->stream());
  }
  size_t checksum = 0;
  for (size_t i = 0; i < sources_.size(); ++i) {
    const Tensor& source = sources_[i];
    const auto element = static_cast<int64_t>(size_of(source.dtype)), per_chunk = checkpoint_chunk_bytes / element;
    if (way_ == Way::queued_copy) copy_.wait(i);
    for (int64_t at = 0; at < source.numel(); at += kBlockBytes / element) {
      const int64_t n = std::min(kBlockBytes / element, source.numel() - at), n_chunks = (n + per_chunk - 1) / per_chunk;
      const std::byte* block = (way_ == Way::in_place ? static_cast<const std::byte*>(source.data) : copy_.of(i)) + at * element;
      if (way_ == Way::in_place && source.device == Device::cuda) {
        const Tensor here = window_.tensor(source.dtype, {n});
        queue_copy(stream->stream(), source.slice(at, n), here);
        stream->synchronize();
        block = window_.data();
      }
      // While one thread writes, others hash.
      pool.parallel_for(n_chunks, 1, [&](int64_t first, int64_t last) {
        for (int64_t c = first; c < last; ++c) {
          if (cancel_) throw Cancelled{};
          const int64_t begin = c * per_chunk, length = std::min(per_chunk, n - begin);
          const std::byte* chunk = block + begin * element;
          checksums[checksum + static_cast<size_t>(c)] = std::bit_cast<int64_t>(XXH64(chunk, static_cast<size_t>(length * element), 0));
          out.write(i, at + begin, length, chunk);
        }
      });
      checksum += static_cast<size_t>(n_chunks);
      if (way_ == Way::in_place) passed(i);
    }
    if (way_ == Way::in_place) passed(i + 1);
  }
  out.write(sources_.size(), 0, static_cast<int64_t>(checksums.size()), checksums.data());
  out.finish();
  file_.checksum = hash_of(checksums);
  file_.n_bytes = static_cast<int64_t>(out.n_bytes());
}

void ShardWriter::before_update(size_t bucket, CUstream_st* stream) {
  if (done_) return;
  const size_t needed = bucket < end_of_bucket_.size() ? end_of_bucket_[bucket] : sources_.size();
  if (needed == 0) return;
  if (way_ == Way::queued_copy) return copy_.hold(needed - 1, stream);
  std::unique_lock lock(mutex_);
  if (open_ || n_passed_ >= needed) return;
  const auto began = std::chrono::steady_clock::now();
  uint64_t seen = progress_;
  const auto free = [&] { return open_ || n_passed_ >= needed; };
  while (!changed_.wait_for(lock, std::chrono::seconds(1), free)) {
    if (seen == progress_ || !alive_) continue;
    seen = progress_;
    lock.unlock();
    alive_();
    lock.lock();
  }
  stalled_ += seconds_since(began);
}

}  // namespace rk
