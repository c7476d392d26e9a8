#include "io/disk.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/error.h"

namespace rk {
namespace {

// Bytes after which the disk is told to begin with them, so that finish() finds little left to wait for.
constexpr uint64_t kStartEvery = uint64_t{64} << 20;

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

void sync_path(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) fail_write(path, 0, errno);
  const int error = fsync(fd) == 0 || errno == EINVAL ? 0 : errno;  // EINVAL: a file system without fsync for folders
  close(fd);
  if (error != 0) fail_write(path, 0, error);
}

}  // namespace

uint64_t free_bytes(const std::string& path) {
  struct statvfs s {};
  if (statvfs(path.c_str(), &s) != 0 && statvfs(folder_of(path).c_str(), &s) != 0)
    fail(cat("cannot ask for the free space of ", folder_of(path), ": ", std::strerror(errno)), ExitCode::failure);
  return static_cast<uint64_t>(s.f_bavail) * s.f_frsize;
}

void fail_write(const std::string& path, uint64_t n_bytes, int error) {
  std::string message = cat("cannot write ", path, ": ", std::strerror(error));
  if (error == ENOSPC || error == EDQUOT || error == EFBIG)
    message += cat(" (", n_bytes, " bytes were to be written, ", free_bytes(path), " bytes are free); make room and try again");
  fail(message, ExitCode::failure);
}

void require_space(const std::string& path, uint64_t n_bytes) {
  if (n_bytes > free_bytes(path)) fail_write(path, n_bytes, ENOSPC);
}

void sync_file(const std::string& path) { sync_path(path, O_RDONLY); }
void sync_folder_of(const std::string& path) { sync_path(folder_of(path), O_RDONLY | O_DIRECTORY); }

void rename_file(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) fail_write(to, 0, errno);
  sync_folder_of(to);
}

NewFile::NewFile(const std::string& path, uint64_t n_bytes) : path_(path), temporary_(path + ".tmp") {
  require_space(path, n_bytes);
  fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_write(temporary_, 0, errno);
}

NewFile::~NewFile() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

void NewFile::write(const void* data, size_t n_bytes) {
  write_at(position_, data, n_bytes);
  position_ += n_bytes;
}

void NewFile::write_at(uint64_t offset, const void* data, size_t n_bytes) {
  const auto* p = static_cast<const std::byte*>(data);
  while (n_bytes > 0) {
    const ssize_t n = pwrite(fd_, p, std::min(n_bytes, size_t{1} << 30), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_write(path_, n_bytes, errno);
    p += n;
    n_bytes -= static_cast<size_t>(n);
    offset += static_cast<uint64_t>(n);
    not_started_ += static_cast<uint64_t>(n);
  }
  if (not_started_ < kStartEvery) return;
  sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE);  // only begins; what goes wrong fsync tells
  not_started_ = 0;
}

void NewFile::finish() {
  const int synced = fsync(fd_), error = errno;
  const int closed = close(std::exchange(fd_, -1));
  if (synced != 0 || closed != 0) {
    unlink(temporary_.c_str());
    fail_write(path_, 0, synced != 0 ? error : errno);
  }
  rename_file(temporary_, path_);
}

void write_file(const std::string& path, const std::string& text) {
  NewFile file(path, text.size());
  file.write(text.data(), text.size());
  file.finish();
}

}  // namespace rk
