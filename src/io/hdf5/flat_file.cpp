#include "io/hdf5/flat_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/disk.h"
#include "io/hdf5/hdf5.h"

namespace rk {
namespace {

constexpr uint64_t kStartEvery = uint64_t{32} << 20;  // bytes

}  // namespace

FlatFile::FlatFile(const std::string& path, const std::vector<Dataset>& datasets, bool durable) : path_(path), durable_(durable) {
  {
    Hdf5Writer layout(path);
    for (const Dataset& d : datasets) {
      places_.emplace_back(layout.reserve(d.name, d.dtype, d.n), size_of(d.dtype));
      for (const auto& [name, numbers] : d.numbers) layout.attribute(d.name, name, numbers);
      for (const auto& [name, text] : d.texts) layout.attribute(d.name, name, text);
    }
    layout.settle();
  }
  fd_ = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  struct stat s {};
  int error = fd_ >= 0 && fstat(fd_, &s) == 0 ? 0 : errno;
  n_bytes_ = static_cast<uint64_t>(s.st_size);
  // A file system without such a promise tells a full disk while it is written.
  if (error == 0 && durable && fallocate(fd_, 0, 0, s.st_size) != 0 && errno != EOPNOTSUPP && errno != ENOSYS) error = errno;
  if (error == 0) return;
  if (fd_ >= 0) close(fd_);
  unlink(path.c_str());
  fail_write(path, n_bytes_, error);
}

FlatFile::~FlatFile() {
  if (fd_ >= 0) close(fd_);
  if (!finished_) unlink(path_.c_str());
}

void FlatFile::write(size_t dataset, int64_t first, int64_t n, const void* data) {
  const auto [place, element] = places_.at(dataset);
  const auto* p = static_cast<const std::byte*>(data);
  uint64_t at = place + static_cast<uint64_t>(first) * element, left = static_cast<uint64_t>(n) * element;
  while (left > 0) {
    const ssize_t written = pwrite(fd_, p, std::min<uint64_t>(left, uint64_t{1} << 30), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_write(path_, left, errno);
    p += written;
    at += static_cast<uint64_t>(written);
    left -= static_cast<uint64_t>(written);
  }
  if (!durable_) return;
  const uint64_t bytes = static_cast<uint64_t>(n) * element;
  if (not_started_.fetch_add(bytes) + bytes < kStartEvery) return;
  not_started_ = 0;
  sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE);  // only begins; what goes wrong fsync tells
}

void FlatFile::finish() {
  const int synced = durable_ ? fsync(fd_) : 0, error = errno;
  const int closed = close(std::exchange(fd_, -1));
  if (synced != 0 || closed != 0) fail_write(path_, 0, synced != 0 ? error : errno);
  finished_ = true;
}

}  // namespace rk
