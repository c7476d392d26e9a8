#include "data/staged_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"

namespace rk {
namespace {

constexpr size_t buffer_bytes = 1 << 20;

// The name itself is durable only when its folder is.
void sync_folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const int fd = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;  // a folder that may be written to but not read
  fsync(fd);
  close(fd);
}

}  // namespace

StagedFile::StagedFile(const std::string& path, int64_t kept) : path_(path), temporary_(path + ".tmp"), buffer_(buffer_bytes) {
  fd_ = open(temporary_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(cat(temporary_, ": cannot create: ", std::strerror(errno), "; choose another output name"));
  if (flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {  // file systems without locks go without
    close(std::exchange(fd_, -1));
    fail(cat(temporary_, ": another process is writing it; wait for it, or choose another output name"));
  }
  if (ftruncate(fd_, kept) != 0) refuse("cut");
  written_ = kept;
}

StagedFile::~StagedFile() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

void StagedFile::refuse(const char* action) const {
  fail(cat(temporary_, ": cannot ", action, ": ", std::strerror(errno)), ExitCode::failure);
}

void StagedFile::write(const void* data, size_t n_bytes) {
  const std::byte* from = static_cast<const std::byte*>(data);
  while (n_bytes > 0) {
    if (used_ == buffer_.size()) flush();
    const size_t n = std::min(n_bytes, buffer_.size() - used_);
    std::memcpy(buffer_.data() + used_, from, n);
    used_ += n, from += n, n_bytes -= n;
  }
}

void StagedFile::flush() {
  write_whole(written_, buffer_.data(), used_);
  written_ += static_cast<int64_t>(used_);
  used_ = 0;
}

void StagedFile::write_whole(int64_t offset, const std::byte* data, size_t n_bytes) {
  while (n_bytes > 0) {
    const ssize_t n = pwrite(fd_, data, n_bytes, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse("write");
    data += n, n_bytes -= static_cast<size_t>(n), offset += n;
  }
}

void StagedFile::write_at(int64_t offset, const void* data, size_t n_bytes) {
  flush();
  write_whole(offset, static_cast<const std::byte*>(data), n_bytes);
}

void StagedFile::read_at(int64_t offset, void* data, size_t n_bytes) {
  flush();
  std::byte* to = static_cast<std::byte*>(data);
  while (n_bytes > 0) {
    const ssize_t n = pread(fd_, to, n_bytes, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse("read back");
    require(n > 0, "only what was written is read back");
    to += n, n_bytes -= static_cast<size_t>(n), offset += n;
  }
}

void StagedFile::truncate(int64_t n_bytes) {
  flush();
  if (ftruncate(fd_, n_bytes) != 0) refuse("cut");
  written_ = n_bytes;
}

void StagedFile::finish() {
  flush();
  if (fsync(fd_) != 0) refuse("make durable");
}

void StagedFile::commit() {
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) refuse(cat("rename to ", path_).c_str());
  close(fd_);
  fd_ = -1;
  sync_folder_of(path_);
}

void commit_left(const std::string& path) {
  const std::string temporary = path + ".tmp";
  if (std::rename(temporary.c_str(), path.c_str()) != 0 && errno != ENOENT)
    fail(cat(temporary, ": cannot rename to ", path, ": ", std::strerror(errno)), ExitCode::failure);
  sync_folder_of(path);
}

}  // namespace rk
