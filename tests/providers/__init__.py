"""The providers: the real SDKs with production configuration against the sandbox's internet."""
