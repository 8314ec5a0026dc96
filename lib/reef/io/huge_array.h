#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

namespace reef::io {

/// A zeroed array in pages of 2 MiB where the kernel has them, and aligned to them: random reads of hundreds of
/// megabytes in 4 KiB pages wait for the page table as long as for the memory, and a disk that reads into such pages is
/// asked in 512 pieces for what is one here.
template <typename T>
class HugeArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit HugeArray(std::size_t count) : size_(count), mapping_(map(count), Unmap{mapped_bytes(count)}) {
    const auto address = reinterpret_cast<std::uintptr_t>(mapping_.get());
    data_ = reinterpret_cast<T*>((address + kPage - 1) / kPage * kPage);
    ::madvise(data_, mapped_bytes(count) - kPage, MADV_HUGEPAGE);  // a wish: without it the array is slower, no more
  }

  std::size_t size() const { return size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  static constexpr std::size_t kPage = 2 << 20;
  /// Whole pages, and one more to align them.
  static std::size_t mapped_bytes(std::size_t count) {
    if (count > SIZE_MAX / 2 / sizeof(T)) throw std::bad_alloc();
    return (count * sizeof(T) / kPage + 2) * kPage;
  }
  static void* map(std::size_t count) {
    void* memory = ::mmap(nullptr, mapped_bytes(count), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return memory;
  }
  struct Unmap {
    std::size_t bytes;
    void operator()(void* memory) const { ::munmap(memory, bytes); }
  };

  std::size_t size_;
  std::unique_ptr<void, Unmap> mapping_;
  T* data_ = nullptr;
};

}  // namespace reef::io
