{
  'variables': {
    # What links liburing ('-l:liburing.a'), or 'none': then the io_uring engine is not built in.
    'liburing': '<!(node scripts/gyp-liburing.mjs)',
    # System headers: their warnings are not ours.
    'napi_include': '<(module_root_dir)/node_modules/node-addon-api',
    'fuse_include': '<(module_root_dir)/node_modules/fuse-shared-library-linux/libfuse/include',
  },
  'target_defaults': {
    'include_dirs': ['native'],
    # Node's own choice of standard and its -fno-rtti are replaced: this list is the whole truth, for each target.
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-fno-rtti'],
    'cflags_cc': [
      '-std=c++20', '-g', '-fPIC', '-fno-exceptions', '-fvisibility=hidden', '-fno-omit-frame-pointer',
      '-Wall', '-Wextra', '-Wshadow', '-Wno-unused-parameter', '-Wno-missing-field-initializers',
    ],
    'defines': ['_FILE_OFFSET_BITS=64', '_GNU_SOURCE'],
    'conditions': [
      ['liburing=="none"', {'defines': ['DMIOFS_HAVE_LIBURING=0']}, {'defines': ['DMIOFS_HAVE_LIBURING=1']}],
    ],
    # Asan and Tsan are for the native tests only: `scripts/native-test --sanitize=thread`. Each has its own build/NAME.
    'configurations': {
      'Release': {'cflags_cc!': ['-O3'], 'cflags_cc': ['-O2']},
      'Asan': {
        'cflags_cc': ['-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
        'ldflags': ['-fsanitize=address,undefined'],
      },
      'Tsan': {'cflags_cc': ['-O1', '-fsanitize=thread'], 'ldflags': ['-fsanitize=thread']},
    },
  },
  'targets': [
    {
      # Knows neither Node nor FUSE.
      'target_name': 'dmiofs_core',
      'type': 'static_library',
      'sources': ['<!@(node scripts/gyp-sources.mjs native/base native/device native/engine native/dmio native/mirror)'],
      'conditions': [['liburing!="none"', {'link_settings': {'libraries': ['<(liburing)']}}]],
    },
    {
      # libfuse is opened at run time, by path, and never linked.
      'target_name': 'dmiofs',
      'dependencies': ['dmiofs_core'],
      'sources': ['<!@(node scripts/gyp-sources.mjs native/fusemod native/addon)'],
      'cflags_cc': ['-isystem', '<(napi_include)', '-isystem', '<(fuse_include)'],
      # SWALLOW_UNTHROWABLE: a task that ends while its environment does has nobody to tell, which must not end the process.
      'defines': [
        'FUSE_USE_VERSION=29', 'NAPI_VERSION=9', 'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED',
      ],
      'ldflags': ['-Wl,--exclude-libs,liburing.a'],
      'libraries': ['-ldl', '-lpthread'],
    },
    {
      'target_name': 'dmiofs_native_test',
      'type': 'executable',
      'product_extension': '',
      'dependencies': ['dmiofs_core'],
      'sources': ['<!@(node scripts/gyp-sources.mjs native/test)'],
      'libraries': ['-lpthread'],
    },
  ],
}
