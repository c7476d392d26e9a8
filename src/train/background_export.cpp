#include "train/background_export.h"

#include <algorithm>

#include "base/error.h"
#include "base/thread_signals.h"
#include "io/tensor_file.h"
#include "train/checkpoint_tensors.h"
#include "train/weights_metadata.h"

namespace rk {

void export_checkpoint(const std::string& folder, const std::string& path, const std::atomic<bool>& give_up) {
  constexpr int64_t kAtATime = int64_t{4} << 20;  // elements
  const auto reader = open_checkpoint(folder, CheckpointParts::trained);
  const auto writer = create_tensor_file(path, reader->tensors(), weights_metadata(CheckpointReader(folder).state()));
  std::vector<std::byte> block;
  for (size_t i = 0; i < reader->tensors().size(); ++i) {
    const TensorInfo& t = reader->tensors()[i];
    for (int64_t at = 0; at < t.numel(); at += kAtATime) {
      if (give_up) fail(cat(path, " was given up"), ExitCode::failure);
      const int64_t n = std::min(kAtATime, t.numel() - at);
      block.resize(static_cast<size_t>(n) * size_of(t.dtype));
      reader->read(i, at, n, block.data());
      writer->write(block.data(), block.size());
    }
  }
  writer->finish();
}

BackgroundExport::~BackgroundExport() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BackgroundExport::add(int64_t step, const std::string& folder, const std::string& path) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({step, folder, path});
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  changed_.notify_all();
}

std::set<int64_t> BackgroundExport::in_use() {
  const std::lock_guard lock(mutex_);
  std::set<int64_t> steps;
  for (const Job& j : jobs_) steps.insert(j.step);
  return steps;
}

std::vector<std::string> BackgroundExport::news() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

void BackgroundExport::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return jobs_.empty(); });
}

void BackgroundExport::work() {
  leave_signals_to_others();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (stop_) return;
    const Job job = jobs_.front();
    lock.unlock();
    std::string said = cat("saved ", job.path);
    try {
      export_checkpoint(job.folder, job.path, stop_);
    } catch (const std::exception& e) {
      said = cat("warning: ", e.what(), "; training goes on and tries again at the next mini-epoch");
    }
    lock.lock();
    news_.push_back(std::move(said));
    jobs_.pop_front();
    changed_.notify_all();
  }
}

}  // namespace rk
