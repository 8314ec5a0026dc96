#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

namespace reef::vector {

/// A zeroed array in pages of 2 MiB where the kernel has them: random reads of hundreds of megabytes in 4 KiB pages
/// wait for the page table as long as for the memory.
template <typename T>
class HugeArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit HugeArray(std::size_t count) : size_(count), data_(allocate(count), Unmap{bytes_of(count)}) {}

  std::size_t size() const { return size_; }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  static constexpr std::size_t kPage = 2 << 20;
  static std::size_t bytes_of(std::size_t count) {
    if (count > SIZE_MAX / 2 / sizeof(T)) throw std::bad_alloc();
    return (count * sizeof(T) / kPage + 1) * kPage;
  }
  static T* allocate(std::size_t count) {
    void* memory = ::mmap(nullptr, bytes_of(count), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    ::madvise(memory, bytes_of(count), MADV_HUGEPAGE);  // a wish: without it the array is slower, no more
    return static_cast<T*>(memory);
  }
  struct Unmap {
    std::size_t bytes;
    void operator()(T* memory) const { ::munmap(memory, bytes); }
  };

  std::size_t size_;
  std::unique_ptr<T[], Unmap> data_;
};

}  // namespace reef::vector
